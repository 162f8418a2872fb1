"""Work that a process does again and again, whatever happens to one round of it."""

from __future__ import annotations

import logging
import threading

import pytest

from torana.errors import LedgerUnavailable
from torana.loops import Loop

PATIENCE_SECONDS = 10.0


class Work:
    """Fails as its list says, and then goes well."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.rounds = 0
        self.enough = threading.Event()

    def __call__(self) -> None:
        self.rounds += 1
        if self.rounds >= 5:
            self.enough.set()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


def words(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    return [(record.getMessage(), record.levelno) for record in caplog.records]


def test_a_round_tells_whether_it_went_well():
    loop = Loop("test", Work(LedgerUnavailable("away"), None, ValueError("broken")), seconds=1.0)
    assert [loop.run_once() for _ in range(4)] == [False, True, False, True]


def test_an_outage_is_in_the_log_once_and_so_is_its_end(caplog):
    loop = Loop("beat", Work(*[LedgerUnavailable("away")] * 3), seconds=1.0)
    with caplog.at_level(logging.INFO, "torana.loops"):
        for _ in range(6):
            loop.run_once()
    assert words(caplog) == [("loop.failed", logging.WARNING), ("loop.recovered", logging.INFO)]
    assert vars(caplog.records[0])["loop"] == "beat"
    assert vars(caplog.records[0])["error_code"] == LedgerUnavailable.code


def test_each_outage_is_told_anew(caplog):
    away = LedgerUnavailable("away")
    loop = Loop("beat", Work(away, None, away, None), seconds=1.0)
    with caplog.at_level(logging.INFO, "torana.loops"):
        for _ in range(4):
            loop.run_once()
    assert [word for word, _ in words(caplog)] == ["loop.failed", "loop.recovered"] * 2


def test_what_is_broken_is_in_the_log_with_its_place_at_every_round(caplog):
    loop = Loop("beat", Work(*[ValueError("broken")] * 2), seconds=1.0)
    with caplog.at_level(logging.INFO, "torana.loops"):
        for _ in range(3):
            loop.run_once()
    assert words(caplog) == [("loop.failed", logging.ERROR)] * 2 + [
        ("loop.recovered", logging.INFO)
    ]
    assert all(record.exc_info for record in caplog.records[:2])


def test_a_loop_goes_on_after_failures_until_it_is_told_to_stop():
    work = Work(LedgerUnavailable("away"), ValueError("broken"))
    stopping = threading.Event()
    thread = threading.Thread(
        target=Loop("test", work, seconds=0.001).run, args=(stopping,), daemon=True
    )
    thread.start()
    assert work.enough.wait(PATIENCE_SECONDS)
    stopping.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_a_loop_that_waits_stops_at_once():
    work, stopping = Work(), threading.Event()
    thread = threading.Thread(
        target=Loop("test", work, seconds=3600.0).run, args=(stopping,), daemon=True
    )
    thread.start()
    stopping.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert work.rounds == 0


def test_started_it_runs_beside_everything_else_under_its_name():
    work, stopping = Work(), threading.Event()
    Loop("by-its-name", work, seconds=0.001).start(stopping)
    try:
        assert work.enough.wait(PATIENCE_SECONDS)
        (thread,) = [one for one in threading.enumerate() if one.name == "by-its-name"]
        assert thread.daemon
    finally:
        stopping.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
