"""The thread that ends what is late: there while it is needed, and gone after that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from torana.outbound import exchange
from torana.outbound.exchange import DeadlineKeeper, Exchange


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_TICK_SECONDS", 0.001)
    monkeypatch.setattr(exchange, "_IDLE_TICKS", 3)


def until(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(2000):
        if condition():
            return
        waited.wait(0.005)
    raise AssertionError("it did not come to that")


def test_without_exchanges_the_thread_ends_and_the_next_exchange_starts_another():
    keeper = DeadlineKeeper()
    for _ in range(2):
        under_way = Exchange(time.monotonic() + 600)
        keeper.add(under_way)
        thread = keeper._thread
        assert thread is not None
        keeper.discard(under_way)
        until(lambda thread=thread: not thread.is_alive())  # type: ignore[misc]
        assert keeper._thread is None


def test_what_is_late_is_ended_however_long_the_keeper_has_waited():
    keeper = DeadlineKeeper()
    long, short = Exchange(time.monotonic() + 600), Exchange(time.monotonic() + 0.05)
    keeper.add(long)
    keeper.add(short)
    until(lambda: short.expired)
    assert not long.expired
    assert keeper._thread is not None
    keeper.discard(long)
    keeper.discard(short)
