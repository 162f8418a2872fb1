"""urllib3's pools with three changes.

An exchange learns its socket, a request leaves in one piece, and asking whether an idle connection
is still open costs one system call.
"""

from __future__ import annotations

import select
import socket
from contextvars import ContextVar
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from torana.offload import native_poll
from torana.outbound.exchange import Exchange

current_exchange: ContextVar[Exchange | None] = ContextVar("torana_exchange", default=None)


class _Watched(HTTPConnection):
    """What both kinds of connections do differently."""

    _held: list[Any] | None = None

    @property
    def is_connected(self) -> bool:
        return _is_quiet(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        exchange = current_exchange.get()
        if exchange is not None:
            exchange.attach(self.sock)
        self._held = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._held)
        finally:
            self._held = None
        super().send(whole)

    def send(self, data: Any) -> None:
        """Hold head and body back until both are there: one system call, one packet."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)


class _SecureWatched(_Watched, HTTPSConnection):
    """The same over TLS."""


class Pool(HTTPConnectionPool):
    """Connections to one host."""

    ConnectionCls = _Watched


class SecurePool(HTTPSConnectionPool):
    """TLS connections to one host."""

    ConnectionCls = _SecureWatched


def _is_quiet(connected: socket.socket | None) -> bool:
    """Whether an idle connection is open: the other side has neither closed it nor said a word."""
    if connected is None or connected.fileno() < 0:
        return False
    poll = native_poll()
    poll.register(connected.fileno(), select.POLLIN)
    return not poll.poll(0)
