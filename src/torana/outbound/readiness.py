"""Waiting until a socket can be read or written, for a thread or for a greenlet."""

from __future__ import annotations

import select
import socket

from torana.offload import is_gevent, native_poll

READ, WRITE = select.POLLIN, select.POLLOUT
_LOOP_READ, _LOOP_WRITE = 1, 2
"""What a watcher of gevent's loop calls them."""


def is_quiet(connected: socket.socket | None) -> bool:
    """Whether a connection is open, and its other side has neither closed it nor said a word."""
    if connected is None or connected.fileno() < 0:
        return False
    poll = native_poll()
    poll.register(connected.fileno(), select.POLLIN)
    return not poll.poll(0)


def readiness(descriptor: int, events: int = READ) -> Readiness:
    """What can wait for a socket here: a thread that may block, or a greenlet.

    Args:
        descriptor: of the socket.
        events: `READ`, `WRITE` or both; the end of a connection is always one.
    """
    kind: type[Readiness] = _GreenletReadiness if is_gevent() else Readiness
    return kind(descriptor, events)


class Readiness:
    """Whether a socket can be used, for a thread that may block."""

    def __init__(self, descriptor: int, events: int) -> None:
        self._poll = select.poll()
        self._poll.register(descriptor, events)

    def within(self, seconds: float) -> bool:
        """Wait for it; False when it could not be used for so long."""
        return bool(self._poll.poll(max(1, round(seconds * 1000))))

    def close(self) -> None:
        """Nothing is held."""


class _GreenletReadiness(Readiness):
    """The same for a greenlet.

    With a watcher of its own, and not with gevent's `poll`, which makes one for each wait and takes
    twice as long.
    """

    def __init__(self, descriptor: int, events: int) -> None:
        from gevent import get_hub  # noqa: PLC0415 -- only where gevent runs already
        from gevent.socket import wait  # noqa: PLC0415 -- the same

        self._wait = wait
        wanted = _LOOP_READ * bool(events & READ) | _LOOP_WRITE * bool(events & WRITE)
        self._watcher = get_hub().loop.io(descriptor, wanted)

    def within(self, seconds: float) -> bool:
        try:
            self._wait(self._watcher, seconds)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._watcher.close()
