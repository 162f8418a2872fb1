"""A relay that keeps what it passes on for a while: a server that is there and far too slow."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.e2e.relay import Relay

_CHUNK = 65_536


class SlowRelay(Relay):
    """A relay with a delay.

    Attributes:
        delay: seconds by which each piece comes later.
    """

    delay = 0.0

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
        for end in (source, sink):
            self._end(end)


@contextmanager
def slow_relay_to(port: int) -> Iterator[SlowRelay]:
    """A relay to a port of this machine for the length of a `with` block."""
    relay = SlowRelay(("127.0.0.1", port))
    try:
        yield relay
    finally:
        relay.close()
