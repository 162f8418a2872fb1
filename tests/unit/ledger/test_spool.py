"""Posts on the disk: what was kept is there, whatever happens to the file."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.test_teller import SETTLEMENT, record
from torana.core.rates import Rate, RateView
from torana.core.usage import Usage
from torana.errors import DiskFull
from torana.ledger import spool as spool_module
from torana.ledger.jobs import PostJob
from torana.ledger.records import KeptResponse, Receipt, Settlement
from torana.ledger.spool import ROOM, SUFFIX, Spool, frames, orphan

ROOT = Path(__file__).parents[3]


def receipt(call_id: str = "req_1") -> Receipt:
    return Receipt(
        record=msgspec.structs.replace(record(call_id), end_user="é😀", tags={"a": "b"}),
        admitted_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        balance_ids=("bal_1", "bal_w"),
        bound_nano=2**62,
        output=7,
        rates=RateView(requests=Rate(60, 59, 1.0)),
    )


def settlement(**changes: Any) -> Settlement:
    return msgspec.structs.replace(
        SETTLEMENT,
        usage=Usage(input_tokens=1, images=2),
        attempts=[{"n": 1, "outcome": "answered"}],
        answer=b"\x00sealed\xff",
        first_byte_ms=3,
        **({"response": response()} | changes),
    )


def response(content: bytes | None = b"\x00sealed\xff") -> KeptResponse:
    return KeptResponse(
        id="resp_1", kept_by="torana", content=content, previous_id="resp_0", life=60
    )


def job(number: int, **changes: Any) -> PostJob:
    return PostJob(receipt(f"req_{number}"), settlement(cost_nano=number, **changes))


@pytest.fixture
def spool(tmp_path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spools", "own_1")
    yield made
    made.close()


def append(spool: Spool, *jobs: PostJob) -> None:
    for one in jobs:
        spool.append(one.receipt, one.settlement)


def test_what_was_appended_comes_back_as_it_was(spool):
    wanted = [job(1), job(2), job(3)]
    append(spool, *wanted)
    assert [one for one, _ in spool.unreplayed()] == wanted
    assert spool.pending


def test_a_whole_round_leaves_an_empty_file_that_is_used_again(spool):
    for turn in range(3):
        append(spool, job(10 * turn), job(10 * turn + 1))
        waiting = spool.unreplayed()
        assert [one.settlement.cost_nano for one, _ in waiting] == [10 * turn, 10 * turn + 1]
        for _, place in waiting:
            assert spool.pending
            spool.replayed(place)
        assert not spool.pending
        assert spool.unreplayed() == []


def test_what_is_appended_during_a_replay_is_not_forgotten(spool):
    append(spool, job(1), job(2))
    (_, first), (_, second) = spool.unreplayed()
    spool.replayed(first)
    append(spool, job(3))
    spool.replayed(second)
    assert [one.settlement.cost_nano for one, _ in spool.unreplayed()] == [3]
    assert spool.pending


def large(number: int, size: int) -> PostJob:
    """A post that needs more than its room."""
    return job(number, response=response(b"\x00" * size))


def test_a_large_response_is_kept_while_the_disk_has_room(spool):
    wanted = [job(1), large(2, 5 * 1024 * 1024), job(3)]
    append(spool, *wanted)
    assert [one for one, _ in spool.unreplayed()] == wanted


def test_a_large_response_takes_no_room_from_open_calls(spool):
    for _ in range(100):
        spool.hold()
    append(spool, large(1, 3 * ROOM))
    ((_, end),) = spool.unreplayed()
    assert allocated(spool) >= end + 100 * ROOM


def cut_to_figures(spool: Spool, wanted: PostJob) -> None:
    append(spool, job(1), wanted, job(3))
    before, kept, after = [one for one, _ in spool.unreplayed()]
    assert (before, after) == (job(1), job(3))
    assert kept == PostJob(wanted.receipt, wanted.settlement.bare())
    assert kept.settlement.response is None
    assert (kept.settlement.cost_nano, kept.settlement.usage.images) == (2, 2)


def test_without_room_for_a_large_response_the_figures_are_kept(spool, monkeypatch):
    append(spool, job(0))  # The file has its first step.
    ((_, place),) = spool.unreplayed()
    spool.replayed(place)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    cut_to_figures(spool, large(2, 5 * 1024 * 1024))


def test_a_file_that_has_grown_long_takes_figures_only(spool, monkeypatch):
    monkeypatch.setattr(spool_module, "MOST_BYTES", 2 * ROOM)
    cut_to_figures(spool, large(2, 3 * ROOM))


def test_nobody_but_its_account_can_read_a_spool(spool):
    assert spool.path.stat().st_mode & 0o777 == 0o600
    assert spool.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_with_nothing_in_it_goes_with_its_process(tmp_path):
    spool = Spool(tmp_path, "own_1")
    spool.hold()
    spool.release()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_posts_outlives_its_process(tmp_path):
    spool = Spool(tmp_path, "own_1")
    append(spool, job(1))
    spool.close()
    with orphan(spool.path) as jobs:
        assert jobs == [job(1)]
    assert not spool.path.exists()


# --- broken files ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[bytes, list[int]]:
    """A file of three frames, and where each ends."""
    spool = Spool(tmp_path_factory.mktemp("spool"), "own_1")
    append(spool, job(1), job(2), job(3))
    ends = [place for _, place in spool.unreplayed()]
    content = spool.path.read_bytes()
    spool.replayed(ends[-1])
    spool.close()
    return content[: ends[-1]], ends


def read(content: bytes, path: Path) -> list[PostJob]:
    path.write_bytes(content)
    file = os.open(path, os.O_RDONLY)
    try:
        return [one for one, _ in frames(file, 0, len(content))]
    finally:
        os.close(file)


@given(data=st.data())
def test_a_file_that_is_cut_anywhere_has_all_frames_before_the_cut(whole, tmp_path_factory, data):
    content, ends = whole
    cut = data.draw(st.integers(0, len(content)))
    zeros = data.draw(st.sampled_from([0, 1, 7, 8, 9, 5000]))
    kept = [job(number) for number, end in enumerate(ends, 1) if end <= cut]
    path = tmp_path_factory.getbasetemp() / "cut"
    assert read(content[:cut] + bytes(zeros), path) == kept


@given(data=st.data())
def test_flipped_bits_end_the_file_before_the_frame_that_has_them(whole, tmp_path_factory, data):
    content, ends = whole
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    broken = bytearray(content)
    broken[bit // 8] ^= 1 << bit % 8
    kept = [job(number) for number, end in enumerate(ends, 1) if end <= bit // 8]
    path = tmp_path_factory.getbasetemp() / "flipped"
    assert read(bytes(broken), path) == kept


def test_what_is_broken_is_in_the_log(whole, tmp_path, caplog):
    content, ends = whole
    broken = bytearray(content)
    broken[ends[0] + 20] ^= 1
    with caplog.at_level(logging.ERROR):
        assert read(bytes(broken), tmp_path / "broken") == [job(1)]
    assert [one.getMessage() for one in caplog.records] == ["ledger.spool_broken"]
    assert vars(caplog.records[0])["place"] == ends[0]


# --- room --------------------------------------------------------------------------------------


def allocated(spool: Spool) -> int:
    return spool.path.stat().st_size


def test_each_open_call_has_room_before_it_is_admitted(spool):
    for calls in range(1, 200):
        spool.hold()
        assert allocated(spool) >= calls * ROOM
    for _ in range(199):
        spool.release()


def test_posts_that_wait_take_no_room_from_open_calls(spool):
    for _ in range(100):
        spool.hold()
    for number in range(40):
        append(spool, job(number))
        spool.release()
        spool.hold()
        assert allocated(spool) >= 100 * ROOM + spool.unreplayed()[-1][1]


def test_open_calls_keep_their_room_when_the_file_begins_anew(spool):
    for _ in range(150):
        spool.hold()
    append(spool, job(1))
    ((_, place),) = spool.unreplayed()
    spool.replayed(place)
    assert not spool.pending
    assert allocated(spool) >= 150 * ROOM


FULL = """
import resource, sys
from pathlib import Path
from tests.unit.ledger.test_spool import append, job
from torana.errors import DiskFull
from torana.ledger.spool import ROOM, Spool

# As on a disk that has room for so much: what is longer is refused.
resource.setrlimit(resource.RLIMIT_FSIZE, (256 * ROOM, 256 * ROOM))
spool = Spool(Path(sys.argv[1]), "own_1")
held = 0
try:
    while True:
        spool.hold()
        held += 1
except DiskFull as error:
    assert error.status == 503 and error.retry_after
# Who was refused holds nothing, and all that were admitted can still be posted.
for number in range(held):
    append(spool, job(number, provider_request_id="x" * 15_000))
    spool.release()
kept = [one.settlement.cost_nano for one, _ in spool.unreplayed()]
assert kept == list(range(held)), (len(kept), held)
again = 0
try:
    while True:
        spool.hold()
        again += 1
except DiskFull:
    # As much as the posts are smaller than their room.
    assert again < held // 10, again
for _ in range(again):
    spool.release()
spool.replayed(spool.unreplayed()[-1][1])
spool.hold()
print(held)
"""


def test_a_full_disk_refuses_calls_and_loses_no_post(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == 256


def test_a_call_that_finds_no_room_is_refused_as_such(spool, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskFull) as caught:
        spool.hold()
    assert caught.value.retry_after is not None
    monkeypatch.undo()
    spool.hold()
    spool.release()


# --- whose file it is --------------------------------------------------------------------------


OWNER = """
import sys
from pathlib import Path
from tests.unit.ledger.test_spool import append, job
from torana.ledger.spool import Spool

spool = Spool(Path(sys.argv[1]), "own_2")
append(spool, job(1), job(2))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_file_is_replayed_only_when_its_process_is_gone(tmp_path):
    path = tmp_path / f"own_2{SUFFIX}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        with orphan(path) as jobs:
            assert jobs is None
        assert path.exists()
        owner.kill()
        owner.wait(10)
    with orphan(path) as jobs:
        assert jobs == [job(1), job(2)]
        # Whoever comes meanwhile leaves it alone.
        with orphan(path) as others:
            assert others is None
    assert not path.exists()
    with orphan(path) as jobs:
        assert jobs is None


def test_a_file_whose_replay_failed_stays(tmp_path):
    spool = Spool(tmp_path, "own_1")
    append(spool, job(1))
    spool.close()
    with pytest.raises(ValueError, match="away"):
        fail_within(spool.path)
    with orphan(spool.path) as jobs:
        assert jobs == [job(1)]


def fail_within(path: Path) -> None:
    with orphan(path) as jobs:
        assert jobs == [job(1)]
        message = "away"
        raise ValueError(message)
