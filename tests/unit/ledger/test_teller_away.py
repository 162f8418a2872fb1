"""While the database is silent: who waits for it, and who is told at once that it is away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.unit.ledger.test_teller import (
    ASK,
    SETTLEMENT,
    MemoryLane,
    Observed,
    Scene,
    receipt,
    record,
)
from torana.errors import LedgerUnavailable
from torana.ledger import teller as teller_module
from torana.ledger.spool import Spool
from torana.ledger.teller import STALLED_TICKS, Teller


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def spooling(tmp_path: Path) -> Scene:
    """A teller that keeps posts in a spool."""
    made = Scene()
    made.teller = Teller(made.lane, made.observed, spool=Spool(tmp_path, "own_1"))
    return made


def take_away(scene: Scene) -> None:
    """A call finds out that the database is away."""
    scene.lane.troubles.append(LedgerUnavailable("away"))
    with pytest.raises(LedgerUnavailable):
        scene.teller.admit(record("finds_out"), ASK)


def test_nobody_queues_behind_a_batch_that_does_not_come_back(scene):
    scene.hold()
    for _ in range(STALLED_TICKS):
        scene.teller.tick()
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable) as caught:
        scene.teller.admit(record("late"), ASK)
    assert time.monotonic() - began < 1.0
    assert caught.value.retry_after == 1
    assert record("first") == scene.finish()["first"].record


def test_a_batch_may_take_its_time_and_the_next_has_its_own(scene):
    scene.hold()
    for _ in range(STALLED_TICKS - 1):
        scene.teller.tick()
    scene.behind("waits")
    assert scene.finish()["waits"].record == record("waits")
    scene.teller.tick()
    assert scene.teller.admit(record("later"), ASK).record == record("later")


def test_a_process_that_was_stopped_blames_nobody(scene):
    """No time has passed for it, however long it was: what is under way may be about to end."""
    scene.hold()
    scene.behind("woken")
    assert scene.finish()["woken"].record == record("woken")


def test_a_post_that_finds_the_batch_stalled_is_spooled(spooling):
    admitted = spooling.teller.admit(record("req_1"), ASK)
    assert spooling.lane.entered.acquire(timeout=10)
    spooling.hold()
    for _ in range(STALLED_TICKS):
        spooling.teller.tick()
    spooling.teller.post(admitted, SETTLEMENT)
    spooling.finish()
    assert spooling.teller.replay() == 1


def test_while_it_is_away_one_asks_and_the_others_are_told_at_once(scene, monkeypatch):
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 0.0)
    take_away(scene)
    scene.hold()  # The one that asks again.
    with pytest.raises(LedgerUnavailable):
        scene.teller.admit(record("another"), ASK)
    assert scene.finish()["first"].record == record("first")
    assert scene.teller.admit(record("later"), ASK).record == record("later")
    assert scene.lane.batches == [["first"], ["later"]]


def test_before_it_is_time_nobody_asks(scene, monkeypatch):
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 600.0)
    take_away(scene)
    with pytest.raises(LedgerUnavailable):
        scene.teller.admit(record("soon"), ASK)
    assert scene.lane.batches == []


def test_a_post_goes_to_the_spool_and_waits_for_nobody(spooling, monkeypatch):
    admitted = spooling.teller.admit(record("req_1"), ASK)
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 600.0)
    take_away(spooling)
    spooling.teller.post(admitted, SETTLEMENT)
    assert spooling.lane.batches == [["req_1"]]  # The admission; the post was not tried.
    monkeypatch.setattr(spooling.teller, "_down_until", time.monotonic())
    assert spooling.teller.replay() == 1
    assert spooling.lane.batches == [["req_1"], ["req_1"]]


def test_without_a_spool_a_post_waits_until_the_database_is_back(monkeypatch):
    monkeypatch.setattr(teller_module, "RETRY_SECONDS", 0.01)
    lane = MemoryLane()
    teller = Teller(lane, Observed())
    lane.troubles.append(LedgerUnavailable("away"))
    teller.post(receipt(), SETTLEMENT)
    assert lane.batches == [["req_1"]]
