import os
import signal
from collections.abc import Iterator

import pytest

from torana.processes.stopping import StopRequest

AGES = 60.0


@pytest.fixture
def request_() -> Iterator[StopRequest]:
    request = StopRequest()
    yield request
    request.close()


def test_nobody_asked(request_: StopRequest) -> None:
    assert not request_.wait(0)
    assert not request_.is_set()


def test_asking_ends_a_wait(request_: StopRequest) -> None:
    request_.set()
    assert request_.wait(AGES)
    assert not request_.is_urgent()


def test_asking_twice_is_urgent(request_: StopRequest) -> None:
    request_.set()
    request_.set()
    assert request_.is_urgent()


def test_waking_ends_a_wait_but_is_no_wish(request_: StopRequest) -> None:
    request_.wake()
    assert not request_.wait(AGES)


def test_a_million_wakes_block_nobody(request_: StopRequest) -> None:
    for _ in range(70_000):
        request_.wake()
    assert not request_.wait(AGES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_ask(request_: StopRequest, number: signal.Signals) -> None:
    # Whoever runs the tests may ignore hang-ups, as nohup does.
    found = signal.signal(number, signal.default_int_handler)
    try:
        with request_.on_signals():
            os.kill(os.getpid(), number)
            assert request_.wait(AGES)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, found)


def test_an_ignored_hangup_stays_ignored(request_: StopRequest) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with request_.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request_.wait(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_end_of_a_child_ends_a_wait(request_: StopRequest) -> None:
    with request_.on_signals():
        os.kill(os.getpid(), signal.SIGCHLD)
        assert not request_.wait(AGES)
