"""A batch holds so many bytes of what is kept for callers, so that it is written in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.support.further import further
from tests.unit.ledger.test_teller import ASK, SETTLEMENT, Scene, receipt, record, until
from torana.errors import LedgerUnavailable
from torana.ledger import teller as teller_module
from torana.ledger.jobs import AdmitJob, ExtendJob, PostJob, kept_bytes
from torana.ledger.records import KeptResponse, Settlement

MOST = 4 * 1024 * 1024
MIB = 1024 * 1024


def response(content: bytes | None) -> KeptResponse:
    kept_by: Any = "provider" if content is None else "torana"
    return KeptResponse(id="resp_1", kept_by=kept_by, content=content, life=60)


def settled(answer: bytes | None = None, content: bytes | None = None) -> Settlement:
    return msgspec.structs.replace(SETTLEMENT, answer=answer, response=response(content))


def posts(scene: Scene, sizes: dict[str, int]) -> None:
    """Posts that keep so many bytes each and wait behind the batch that is held, in this order."""
    for name, size in sizes.items():
        content = b"x" * size
        work(scene, name, partial(scene.teller.post, receipt(name), settled(content=content)))


def work(scene: Scene, name: str, job: Callable[[], Any]) -> None:
    wanted = len(scene.teller._pending) + 1
    scene.start(name, job)
    until(lambda: len(scene.teller._pending) == wanted)


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.hold()
    return made


# --- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settlement", "size"),
    [
        (SETTLEMENT, 0),
        (settled(), 0),
        (settled(answer=b"12345"), 5),
        (settled(content=b"123"), 3),
        (settled(answer=b"12345", content=b"123"), 8),
    ],
)
def test_what_is_kept_is_the_answer_for_a_key_and_the_response(settlement, size):
    assert kept_bytes(PostJob(receipt(), settlement)) == size


def test_an_admission_and_an_extension_keep_nothing():
    assert kept_bytes(AdmitJob(record(), ASK)) == 0
    assert kept_bytes(ExtendJob(receipt(), further(receipt(), 250))) == 0


# --- batches -----------------------------------------------------------------------------------


def test_the_limit_is_four_mebibytes():
    assert teller_module._MAX_KEPT_BYTES == MOST


def test_a_batch_ends_before_more_than_the_limit_is_kept(scene):
    posts(scene, {"a": 2 * MIB, "b": MIB, "c": MIB, "d": 1, "e": 3 * MIB})
    scene.finish()
    # Exactly the limit still fits, and a byte more does not.
    assert scene.lane.batches == [["first"], ["a", "b", "c"], ["d", "e"]]


def test_what_is_alone_larger_than_the_limit_is_a_batch_of_its_own(scene):
    posts(scene, {"a": 1, "b": MOST + 1, "c": 1, "d": 2})
    scene.finish()
    assert scene.lane.batches == [["first"], ["a"], ["b"], ["c", "d"]]


def test_what_keeps_nothing_fills_no_batch(scene):
    posts(scene, {"a": MOST})
    scene.behind("b", "c")
    work(scene, "d", lambda: scene.teller.post(receipt("d"), SETTLEMENT))
    scene.finish()
    assert scene.lane.batches == [["first"], ["a", "b", "c", "d"]]


def test_the_number_of_jobs_still_ends_a_batch(scene, monkeypatch):
    monkeypatch.setattr(teller_module, "MAX_BATCH", 2)
    posts(scene, {"a": 1, "b": 1, "c": MOST, "d": 1})
    scene.finish()
    assert scene.lane.batches == [["first"], ["a", "b"], ["c"], ["d"]]


def test_all_are_settled_in_the_order_in_which_they_came(scene):
    posts(scene, {f"call_{number}": MIB + 1 for number in range(9)})
    results = scene.finish()
    batches = scene.lane.batches[1:]
    assert [name for batch in batches for name in batch] == [f"call_{n}" for n in range(9)]
    assert {len(batch) for batch in batches} == {3}
    assert not any(isinstance(result, BaseException) for result in results.values())


def test_when_the_database_is_away_nobody_is_left_behind_for_being_large(scene):
    scene.lane.troubles = [LedgerUnavailable("away")]
    posts(scene, {"a": MOST, "b": MOST, "c": MOST})
    results = scene.finish()
    assert isinstance(results.pop("first"), LedgerUnavailable)
    # Their posts are tried again, each in a batch that it fits in.
    assert results == dict.fromkeys("abc")
    assert sorted(name for batch in scene.lane.batches for name in batch) == ["a", "b", "c"]
    assert all(len(batch) == 1 for batch in scene.lane.batches)
