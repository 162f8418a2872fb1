"""Noticing that a caller has hung up, with real sockets."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from torana.web.hangups import HangupWatcher

pytestmark = pytest.mark.skipif(
    not hasattr(select, "POLLRDHUP"), reason="only Linux tells of a hang-up without reading"
)


class Connection:
    """A connection whose server end is watched."""

    def __init__(self) -> None:
        self.server, self.client = socket.socketpair()

    @property
    def descriptor(self) -> int:
        return self.server.fileno()

    def close(self) -> None:
        self.server.close()
        self.client.close()


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.close()


@pytest.fixture
def watcher() -> HangupWatcher:
    return HangupWatcher()


def test_a_caller_that_is_there_is_not_gone(watcher, connection):
    told: list[float] = []
    link = watcher.link(connection.descriptor)
    link.watch(told.append)
    watcher.run_once(1.0)
    assert not link.gone()
    assert told == []


def test_a_caller_that_sends_more_is_not_gone(watcher, connection):
    link = watcher.link(connection.descriptor)
    told: list[float] = []
    link.watch(told.append)
    connection.client.sendall(b"the next request, before this one is answered")
    watcher.run_once(1.0)
    assert not link.gone()
    assert told == []


def test_a_caller_that_closed_is_gone_and_told_again_and_again_with_the_seconds_since(
    watcher, connection
):
    told: list[float] = []
    link = watcher.link(connection.descriptor)
    link.watch(told.append)
    connection.client.close()
    for now in (10.0, 10.25, 15.0):
        watcher.run_once(now)
    assert link.gone()
    assert told == [0.0, 0.25, 5.0]


def test_a_caller_that_closed_after_sending_more_is_gone(watcher, connection):
    link = watcher.link(connection.descriptor)
    link.watch(lambda _: None)
    connection.client.sendall(b"unread")
    connection.client.close()
    watcher.run_once(1.0)
    assert link.gone()


def test_a_caller_that_shut_its_side_down_is_gone(watcher, connection):
    link = watcher.link(connection.descriptor)
    link.watch(lambda _: None)
    connection.client.shutdown(socket.SHUT_WR)
    watcher.run_once(1.0)
    assert link.gone()


def test_after_the_end_of_a_watch_nobody_is_told(watcher, connection):
    told: list[float] = []
    unwatch = watcher.link(connection.descriptor).watch(told.append)
    unwatch()
    connection.client.close()
    watcher.run_once(1.0)
    assert told == []


def test_the_end_of_a_watch_may_come_twice(watcher, connection):
    unwatch = watcher.link(connection.descriptor).watch(lambda _: None)
    unwatch()
    unwatch()


def test_a_link_that_was_never_watched_is_not_gone(watcher, connection):
    assert not watcher.link(connection.descriptor).gone()


def test_only_the_one_that_left_is_told(watcher):
    connections = [Connection() for _ in range(50)]
    told: list[int] = []
    for number, connection in enumerate(connections):
        watcher.link(connection.descriptor).watch(lambda _, number=number: told.append(number))
    connections[17].client.close()
    connections[33].client.close()
    watcher.run_once(1.0)
    assert sorted(told) == [17, 33]
    for connection in connections:
        connection.close()


def test_the_next_request_on_a_connection_is_watched_anew(watcher, connection):
    first, second = watcher.link(connection.descriptor), watcher.link(connection.descriptor)
    told: list[str] = []
    unwatch = first.watch(lambda _: told.append("first"))
    watcher.run_once(1.0)
    unwatch()
    second.watch(lambda _: told.append("second"))
    connection.client.close()
    watcher.run_once(2.0)
    assert told == ["second"]
    assert second.gone()
    assert not first.gone()


def test_a_late_end_of_an_old_watch_leaves_the_new_one(watcher, connection):
    first, second = watcher.link(connection.descriptor), watcher.link(connection.descriptor)
    old = first.watch(lambda _: None)
    second.watch(lambda _: None)
    old()
    connection.client.close()
    watcher.run_once(1.0)
    assert second.gone()


def test_a_descriptor_that_is_used_again_is_another_connection(watcher):
    old = Connection()
    unwatch = watcher.link(old.descriptor).watch(lambda _: None)
    descriptor = old.descriptor
    unwatch()
    old.close()
    new = Connection()
    assert descriptor in {new.server.fileno(), new.client.fileno()}
    told: list[float] = []
    watcher.link(new.descriptor).watch(told.append)
    watcher.run_once(1.0)
    assert told == []
    new.close()


def test_whoever_is_told_may_end_the_watch_there_and_then(watcher, connection):
    ends: list[Callable[[], None]] = []
    ends.append(watcher.link(connection.descriptor).watch(lambda _: ends[0]()))
    connection.client.close()
    watcher.run_once(1.0)
    watcher.run_once(2.0)


def test_a_watch_in_the_background_notices_by_itself(watcher, connection):
    gone = threading.Event()
    watcher.start()
    unwatch = watcher.link(connection.descriptor).watch(lambda _: gone.set())
    connection.client.close()
    noticed = gone.wait(10)
    unwatch()
    watcher.stop()
    assert noticed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_breaks_when_it_is_told_does_not_end_the_watch_for_all(watcher, connection):
    other = Connection()
    gone = threading.Event()

    def break_down(_: float) -> None:
        raise ValueError("broken")

    watcher.start()
    ends = [
        watcher.link(connection.descriptor).watch(break_down),
        watcher.link(other.descriptor).watch(lambda _: gone.set()),
    ]
    connection.client.close()
    other.client.close()
    noticed = gone.wait(3)
    for end in ends:
        end()
    watcher.stop()
    other.close()
    assert noticed
