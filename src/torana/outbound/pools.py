"""urllib3's pools with four changes.

A dialler makes the connections, an exchange learns its socket, a request leaves in one piece unless
it is an upload, and asking whether an idle connection is still open costs one system call.
"""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any, cast

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from torana.offload import is_gevent
from torana.outbound.dial import Dialler
from torana.outbound.exchange import Exchange
from torana.outbound.readiness import is_quiet
from torana.outbound.upload import Body, Upload

current_exchange: ContextVar[Exchange] = ContextVar("torana_exchange")


class _Watched(HTTPConnection):
    """What both kinds of connections do differently."""

    dialler: Dialler
    _held: list[Any] | None = None

    @property
    def is_connected(self) -> bool:
        return is_quiet(self.sock)

    def _new_conn(self) -> socket.socket:
        # urllib3 has no other word for the name with the dot that resolvers understand.
        host = self._dns_host
        seconds = float(self.timeout or 0.0)
        return self.dialler.connect(host, self.port, seconds, self.socket_options or ())

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        # From here on the exchange keeps all limits; the socket's would be for a whole body.
        self.timeout = None
        self.response_class = HTTPResponse
        exchange = current_exchange.get()
        exchange.attach(self.sock)
        body: bytes | Body | None = kwargs["body"]
        if body is None or isinstance(body, bytes):
            super().send(self._said(*args, **kwargs))
            return
        headers = {**kwargs["headers"], "content-length": str(body.length)}
        head = self._said(*args, **{**kwargs, "body": None, "headers": headers})
        upload = Upload(self.sock, exchange)
        upload.send(head, body)
        self.response_class = cast("Any", upload.response)

    def _said(self, *args: Any, **kwargs: Any) -> bytes:
        """What a request says: head and body are one system call, one packet."""
        self._held = []
        try:
            super().request(*args, **kwargs)
            return b"".join(self._held)
        finally:
            self._held = None

    def send(self, data: Any) -> None:
        """Hold head and body back until both are there."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)


class _SecureWatched(_Watched, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        with _at_most(float(self.timeout or 0.0)):
            super().connect()


class Pool(HTTPConnectionPool):
    """Connections to one host, all made by one dialler."""

    ConnectionCls = _Watched

    def __init__(self, dialler: Dialler, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._dialler = dialler

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.dialler = self._dialler
        return connection


class SecurePool(Pool, HTTPSConnectionPool):
    """TLS connections to one host."""

    ConnectionCls = _SecureWatched


def _at_most(seconds: float) -> AbstractContextManager[object]:
    """Limit a handshake as a whole: a thread's is by itself, a greenlet's only in each wait."""
    if not is_gevent():
        return nullcontext()
    from gevent import Timeout  # noqa: PLC0415 -- only where gevent runs already

    return cast(
        "AbstractContextManager[object]",
        Timeout(seconds, TimeoutError("The handshake took too long.")),
    )
