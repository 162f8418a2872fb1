"""A PostgreSQL connection whose every wait has an end, and that waits cheaply under gevent.

The server's own timeouts end a slow statement, but a server that was stopped, or a network that
swallows packets, answers nothing at all: only the client can give up then. psycopg waits through
Python's `select.poll`, which gevent replaces with one that makes watchers at each call; here the
system's poll is asked first and gevent's loop is used only where there is something to wait for.
"""

from __future__ import annotations

import select
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from torana.offload import is_gevent, native_poll

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
_READ, _WRITE = 1, 2
"""psycopg's `Wait` and `Ready` flags; gevent's events for a descriptor have the same values."""
_MASKS = {
    _READ: select.POLLIN,
    _WRITE: select.POLLOUT,
    _READ | _WRITE: select.POLLIN | select.POLLOUT,
}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that raises OperationalError when the server is silent for too long."""

    patience = PATIENCE_SECONDS

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Run one of psycopg's generators to its end; see `psycopg.Connection.wait`."""
        limit = self.patience if timeout is None else timeout
        if is_gevent():
            return self._wait_gevent(gen, limit)
        return super().wait(gen, interval, limit)

    def _wait_gevent(self, gen: PQGen[T], limit: float) -> T:
        from gevent import Timeout, get_hub  # noqa: PLC0415 -- only where gevent runs already

        descriptor = self.pgconn.socket
        silence = psycopg.OperationalError("the server did not answer in time")
        poll = native_poll()
        try:
            wanted = int(next(gen))
            poll.register(descriptor, _MASKS[wanted])
            while True:
                ready = _ready(poll, wanted)
                if not ready:
                    hub = get_hub()
                    watcher = hub.loop.io(descriptor, wanted)
                    try:
                        with Timeout(limit, silence):
                            hub.wait(watcher)
                    except psycopg.OperationalError:
                        # In the middle of a conversation: nobody can use this connection again.
                        self.pgconn.finish()
                        raise
                    finally:
                        watcher.close()
                    ready = _ready(poll, wanted)
                wanted = int(gen.send(ready))
                poll.modify(descriptor, _MASKS[wanted])
        except StopIteration as stop:
            result: T = stop.value
            return result


def _ready(poll: select.poll, wanted: int) -> int:
    events = poll.poll(0)
    if not events:
        return 0
    happened = events[0][1]
    ready = (_READ if happened & select.POLLIN else 0) | (
        _WRITE if happened & select.POLLOUT else 0
    )
    # A hang-up or an error is told by reading.
    return ready or wanted
