"""An exchange with a provider as seen from outside: its limits of time, and how to end it.

Limits are kept by one thread a process (a greenlet under gevent) that looks at all exchanges five
times a second. A timer for each read of each socket would say the same more exactly, and cost more
than the read.
"""

from __future__ import annotations

import socket
import threading
import time

import msgspec

_TICK_SECONDS = 0.2
_IDLE_TICKS = 25
"""Five seconds without an exchange."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one exchange in seconds: to connect, to the status line, between bytes."""

    connect: float
    first_byte: float
    idle: float


class Exchange:
    """One request under way, so that another greenlet or thread can end it.

    Args:
        deadline: on `time.monotonic()`, when the call as a whole must be over.

    Attributes:
        first_byte: seconds from the connection to the status line; of an upload, from its end.
        idle: seconds in which an upload must get on.
        sent: the request, or a part of it, may have reached the provider.
        aborted: `abort` was called.
        expired: a limit of time has passed.
    """

    __slots__ = ("_socket", "aborted", "deadline", "expired", "first_byte", "idle", "limit", "sent")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.limit = deadline
        self.first_byte = 0.0
        self.idle = 0.0
        self.sent = False
        self.aborted = False
        self.expired = False
        self._socket: socket.socket | None = None

    def abort(self) -> None:
        """End the exchange at once: a waiting read fails as if the provider had hung up."""
        self.aborted = True
        self._shut()

    def expire(self) -> None:
        """End the exchange because its time is up."""
        self.expired = True
        self._shut()

    def attach(self, connected: socket.socket | None) -> None:
        """Take note of the socket that the request goes over."""
        self._socket = connected
        self.sent = True
        self.wait_at_most(self.first_byte)
        if self.aborted or self.expired:
            self._shut()

    @property
    def connected(self) -> socket.socket | None:
        """What the request goes over, until the exchange is over."""
        return self._socket

    def detach(self) -> None:
        """The exchange is over, and its connection is about to serve another."""
        self._socket = None

    def wait_at_most(self, seconds: float) -> None:
        """Limit what comes next, by `seconds` or by what is left of the call."""
        self.limit = min(time.monotonic() + seconds, self.deadline)

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                # The plain method: that of a TLS socket would pull the session from under a reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                return  # The provider was faster.


class DeadlineKeeper:
    """Ends exchanges whose time is up.

    Its thread starts with the first exchange, and ends when there was none for a while.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchanges: set[Exchange] = set()
        self._thread: threading.Thread | None = None

    def add(self, exchange: Exchange) -> None:
        """Watch an exchange until `discard`."""
        with self._lock:
            self._exchanges.add(exchange)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def discard(self, exchange: Exchange) -> None:
        """The exchange is over."""
        with self._lock:
            self._exchanges.discard(exchange)

    def run_once(self, now: float) -> None:
        """End what is late at `now`, on `time.monotonic()`."""
        # Under the lock: an exchange that was discarded has given its connection to another.
        with self._lock:
            for exchange in self._exchanges:
                if exchange.limit <= now and not exchange.expired:
                    exchange.expire()

    def _run(self) -> None:
        idle = 0
        while idle < _IDLE_TICKS or not self._may_end():
            time.sleep(_TICK_SECONDS)
            self.run_once(time.monotonic())
            idle = 0 if self._exchanges else idle + 1

    def _may_end(self) -> bool:
        """Whether nothing is under way; then the next exchange starts another thread."""
        with self._lock:
            if self._exchanges:
                return False
            self._thread = None
            return True
