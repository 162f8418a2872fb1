"""The teller around a lane in memory: batches, failures, and who waits for whom."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from torana.core.usage import NO_USAGE, Counted
from torana.errors import BudgetExceeded, KeyRevoked, LedgerUnavailable
from torana.ledger import teller as teller_module
from torana.ledger.bounds import Bound
from torana.ledger.items import (
    Admitted,
    Extended,
    Outcome,
    Posted,
    Refusal,
    Refused,
)
from torana.ledger.jobs import AdmitJob, ExtendJob, Job, PostJob, Settled, call_id_of
from torana.ledger.lanes import Lane
from torana.ledger.records import Ask, CallRecord, Receipt, Settlement, Status
from torana.ledger.teller import MAX_BATCH, Teller

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECONDS = 10.0
ASK = Ask(bound=Bound(fixed=100_000_000))
USUAL: dict[type[Job], Outcome] = {
    AdmitJob: Admitted(100),
    ExtendJob: Extended(250),
    PostJob: Posted(100),
}


class MemoryLane(Lane):
    """Says yes to everything, unless told otherwise, and can be held up."""

    def __init__(self) -> None:
        super().__init__("own_1")
        self.batches: list[list[str]] = []
        self.outcomes: dict[str, Outcome | list[Outcome]] = {}
        self.troubles: list[Exception | None] = []
        """What the next batches fail with."""
        self.closed = 0
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def settle(self, batch: Sequence[Job]) -> Settled:
        self.entered.release()
        assert self.gate.wait(SECONDS)
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        calls = [call_id_of(job) for job in batch]
        self.batches.append(calls)
        outcomes = [self.outcome(job) for job in batch]
        return Settled(outcomes, NOW, [("bal_1", "bal_w")] * len(batch))

    def outcome(self, job: Job) -> Outcome:
        usual = USUAL[type(job)]
        told = self.outcomes.get(call_id_of(job), usual)
        return told.pop(0) if isinstance(told, list) else told

    def close(self) -> None:
        self.closed += 1

    def _begin(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def _rollback(self) -> None:
        raise NotImplementedError

    def _dynamic_account(self, *_: Any) -> Any:
        raise NotImplementedError

    def _abandoned(self, *_: Any) -> Any:
        raise NotImplementedError

    def _commit(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError


class Observed:
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.waits: list[float] = []

    def batch(self, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.sizes.append(size)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


class Scene:
    def __init__(self) -> None:
        self.lane = MemoryLane()
        self.observed = Observed()
        self.teller = Teller(self.lane, self.observed)
        self.threads: list[threading.Thread] = []
        self.results: dict[str, Any] = {}

    def start(self, name: str, work: Callable[[], Any]) -> None:
        """Do something in a thread, and keep what it returns or raises."""

        def run() -> None:
            try:
                self.results[name] = work()
            except BaseException as error:  # noqa: BLE001 -- looked at by the test
                self.results[name] = error

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()

    def hold(self) -> None:
        """Hold a first batch up, so that all that comes now waits behind it."""
        self.lane.gate.clear()
        self.start("first", lambda: self.teller.admit(record("first"), ASK))
        assert self.lane.entered.acquire(timeout=SECONDS)

    def behind(self, *names: str) -> None:
        """Admissions that wait behind the batch that is held, in this order."""
        for name in names:
            wanted = len(self.teller._pending) + 1
            self.start(name, partial(self.teller.admit, record(name), ASK))
            until(partial(self._wait_for, wanted))

    def _wait_for(self, jobs: int) -> bool:
        return len(self.teller._pending) == jobs

    def finish(self) -> dict[str, Any]:
        self.lane.gate.set()
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "somebody waits for ever"
        return self.results


def until(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(2000):
        if condition():
            return
        waited.wait(0.005)
    raise AssertionError("it did not come to that")


def record(call_id: str = "req_1") -> CallRecord:
    return CallRecord(
        call_id=call_id,
        organisation_id="org_1",
        project_id="proj_1",
        user_id=None,
        key_id="key_1",
        account_ids=("bal_1",),
        route="r",
        model="m",
        provider="p",
        target_model="t",
        price_id=None,
    )


SETTLEMENT = Settlement(
    status=Status.OK,
    counted=Counted.PROVIDER,
    usage=NO_USAGE,
    cost_nano=60,
    streamed=False,
    http_status=200,
    provider="p",
    target_model="t",
    price_id=None,
)


def receipt(call_id: str = "req_1") -> Receipt:
    return Receipt(
        record=record(call_id), admitted_at=NOW, balance_ids=("bal_1", "bal_w"), bound_nano=100
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_receipt_has_the_databases_time_and_what_carries_the_call(scene):
    assert scene.teller.admit(record(), ASK) == receipt()
    assert scene.lane.batches == [["req_1"]]


def test_a_post_is_settled_before_it_returns(scene):
    scene.teller.post(receipt(), SETTLEMENT)
    assert scene.lane.batches == [["req_1"]]


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (Refused(Refusal.BUDGET, "key", "key_1", limit=1, used=1), BudgetExceeded),
        (Refused(Refusal.BLOCKED, "key", "key_1", detail="revoked"), KeyRevoked),
    ],
)
def test_a_refusal_is_raised(scene, refused, error):
    scene.lane.outcomes["req_1"] = refused
    with pytest.raises(error):
        scene.teller.admit(record(), ASK)


def test_what_comes_while_a_batch_is_written_is_the_next_batch(scene):
    scene.hold()
    scene.behind("a", "b", "c")
    results = scene.finish()
    assert scene.lane.batches == [["first"], ["a", "b", "c"]]
    assert {name: got.record.call_id for name, got in results.items()} == {
        name: name for name in ("first", "a", "b", "c")
    }


def test_each_gets_its_own_outcome(scene):
    scene.lane.outcomes["b"] = Refused(Refusal.BUDGET, "key", "k", limit=1, used=1)
    scene.hold()
    scene.behind("a", "b", "c")
    results = scene.finish()
    assert isinstance(results["a"], Receipt)
    assert isinstance(results["b"], BudgetExceeded)
    assert isinstance(results["c"], Receipt)


def test_a_batch_has_a_largest_size_and_the_rest_follows(scene, monkeypatch):
    assert MAX_BATCH <= 1000
    monkeypatch.setattr(teller_module, "MAX_BATCH", 3)
    scene.hold()
    names = [f"call_{number}" for number in range(8)]
    scene.behind(*names)
    scene.finish()
    assert scene.lane.batches == [["first"], names[:3], names[3:6], names[6:]]


def test_the_observer_is_told_of_every_batch_and_every_wait(scene):
    scene.hold()
    scene.behind("a", "b")
    scene.finish()
    assert scene.observed.sizes == [1, 2]
    assert len(scene.observed.waits) == 3


@pytest.mark.parametrize("trouble", [LedgerUnavailable("away"), ValueError("broken")])
def test_a_batch_that_fails_leaves_nobody_waiting_and_the_next_one_is_settled(scene, trouble):
    scene.hold()
    scene.lane.troubles = [None, trouble]
    scene.behind("a", "b", "c")
    results = scene.finish()
    assert isinstance(results["first"], Receipt)
    failed = [results[name] for name in "abc"]
    assert all(isinstance(error, (LedgerUnavailable, type(trouble))) for error in failed)
    # Whoever did not lead the batch learns only that the ledger failed.
    assert sum(isinstance(error, LedgerUnavailable) for error in failed) >= 2
    scene.teller.post(receipt(), SETTLEMENT)


def test_those_who_came_while_a_batch_failed_are_not_left_behind(scene):
    scene.hold()
    scene.lane.troubles = [LedgerUnavailable("away")]
    scene.behind("a", "b")
    results = scene.finish()
    assert set(results) == {"first", "a", "b"}
    assert isinstance(results["first"], LedgerUnavailable)


def test_right_after_a_failure_admissions_are_refused_without_a_try(scene):
    scene.lane.troubles = [LedgerUnavailable("away")]
    with pytest.raises(LedgerUnavailable):
        scene.teller.admit(record(), ASK)
    with pytest.raises(LedgerUnavailable) as caught:
        scene.teller.admit(record(), ASK)
    assert caught.value.retry_after is not None
    assert scene.lane.batches == []


def test_a_post_that_gets_through_ends_the_refusals(scene):
    scene.lane.troubles = [LedgerUnavailable("away")]
    with pytest.raises(LedgerUnavailable):
        scene.teller.admit(record(), ASK)
    scene.teller.post(receipt(), SETTLEMENT)
    assert isinstance(scene.teller.admit(record("req_2"), ASK), Receipt)


def test_a_post_is_tried_again_until_it_gets_through(scene, monkeypatch):
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 0.001)
    scene.lane.troubles = [LedgerUnavailable("away")] * 5
    scene.teller.post(receipt(), SETTLEMENT)
    assert scene.lane.batches == [["req_1"]]


def test_a_post_that_never_gets_through_is_in_the_log_with_its_figures(scene, monkeypatch, caplog):
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(teller_module, "POST_SECONDS", 0.01)
    scene.lane.troubles = [LedgerUnavailable("away")] * 10_000
    with pytest.raises(LedgerUnavailable):
        scene.teller.post(receipt(), SETTLEMENT)
    (lost,) = [one for one in caplog.records if one.getMessage() == "ledger.post_failed"]
    assert lost.levelno == logging.ERROR
    assert (vars(lost)["request_id"], vars(lost)["cost_nano"]) == ("req_1", 60)


def test_closing_closes_the_lane(scene):
    scene.teller.close()
    assert scene.lane.closed == 1


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from tests.unit.ledger.test_teller import ASK, MemoryLane, Observed, record
from torana.ledger.teller import Teller

for killed in (0, 1, 2):
    lane = MemoryLane()
    teller = Teller(lane, Observed())
    lane.gate.clear()
    first = gevent.spawn(teller.admit, record("first"), ASK)
    gevent.sleep(0)
    assert lane.entered.acquire(timeout=5)
    waiting = []
    for number in range(3):
        waiting.append(gevent.spawn(teller.admit, record(f"call_{number}"), ASK))
        gevent.sleep(0)
    waiting[killed].kill()
    lane.gate.set()
    gevent.joinall([first, *waiting], timeout=3)
    for number, greenlet in enumerate(waiting):
        assert greenlet.dead, f"{number} waits for ever after {killed} was killed"
        if number != killed:
            assert greenlet.value.record.call_id == f"call_{number}"
    with gevent.Timeout(3):
        teller.admit(record("later"), ASK)
print("passed")
"""


def test_a_greenlet_that_is_killed_while_it_waits_takes_nobody_with_it():
    # A process that stops kills what is still open; the others must yet be posted.
    result = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("passed\n", 0), result.stderr
