"""Sending a body in pieces, with an eye on the other side.

A provider may refuse an upload by its head, answer, and close or stop reading. Whoever only writes
would then lose the answer or wait for ever. So this module writes without blocking, and looks for
an answer before each write. Who keeps the limits of time shuts the connection, and that ends a wait
here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator, Iterable
from contextlib import closing
from http.client import HTTPResponse
from io import BufferedReader
from typing import Any, Protocol, cast

from torana.errors import InternalError
from torana.outbound.exchange import Exchange
from torana.outbound.readiness import READ, WRITE, is_quiet, readiness

_LOOK_SECONDS = 1.0
_STATUS_CLASS = slice(9, 10)
"""Where `HTTP/1.1 413` says what kind of an answer it is."""


class Body(Protocol):
    """What a request sends, when it is too large to be held in memory."""

    @property
    def length(self) -> int:
        """How many bytes it has."""

    def open(self) -> Iterable[bytes]:
        """Its bytes in pieces, from the beginning; called for each try anew."""


class Upload:
    """The sending of one body over one connection.

    Args:
        connected: what it goes over.
        exchange: whose limits hold; each piece that the provider takes renews its `idle`.
    """

    def __init__(self, connected: socket.socket, exchange: Exchange) -> None:
        self._socket = connected
        self._exchange = exchange
        # http.client makes its own only when it reads the answer, and then would miss what is seen.
        self._reader: BufferedReader = connected.makefile("rb")
        self._readiness = readiness(connected.fileno(), READ | WRITE)
        self._looks = True
        self._whole = False

    def send(self, head: bytes, body: Body) -> None:
        """Send a request, or as much of it as the provider takes.

        Raises:
            InternalError: the body could not be read, or is not as long as it said.
        """
        timeout = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            with closing(_pieces(body)) as pieces:
                self._whole = self._send_pieces(head, pieces)
        except BaseException:
            self._reader.close()
            raise
        finally:
            self._readiness.close()
            self._socket.settimeout(timeout)
        self._exchange.wait_at_most(self._exchange.first_byte)

    def response(self, _connected: socket.socket, method: str | None = None) -> HTTPResponse:
        """The answer, of which a part may have been seen; http.client makes its own like this."""
        kind = HTTPResponse if self._whole else _LastResponse
        return kind(cast("Any", _Opened(self._reader)), method=method)

    def _send_pieces(self, head: bytes, pieces: Iterable[bytes]) -> bool:
        """Whether the provider took all of them."""
        for piece in pieces:
            if not self._send(head + piece if head else piece):
                return False
            head = b""
        return self._send(head)

    def _send(self, data: bytes) -> bool:
        unsent = memoryview(data)
        try:
            while unsent:
                if self._is_refused():
                    return False
                sent = self._send_some(unsent)
                if sent:
                    unsent = unsent[sent:]
                    self._exchange.wait_at_most(self._exchange.idle)
                else:
                    self._readiness.within(_LOOK_SECONDS)
        except OSError:
            return False  # It hung up; reading tells what it said before.
        return True

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def _is_refused(self) -> bool:
        """Whether the provider has hung up, or has said something that is no kind of yes."""
        if not self._looks or is_quiet(self._socket):
            return False
        try:
            seen = self._reader.peek()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False  # TLS said something for itself.
        # An answer that has begun well may go on while the request does.
        self._looks = seen[_STATUS_CLASS] not in {b"1", b"2"}
        return self._looks


class _LastResponse(HTTPResponse):
    """An answer to half a request; what is sent next would be taken for the other half."""

    def begin(self) -> None:
        super().begin()
        self.will_close = True


class _Opened:
    """What http.client opens for reading, and is open already."""

    def __init__(self, reader: BufferedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> BufferedReader:
        return self._reader


def _pieces(body: Body) -> Generator[bytes]:
    """The pieces of a body, which is as long as it says."""
    left = body.length
    try:
        for piece in body.open():
            left -= len(piece)
            if left < 0:
                break
            yield piece
    except OSError as error:
        # It must not look like the connection's own.
        raise InternalError("What was to be sent could not be read.") from error
    if left:
        raise InternalError("What was to be sent is not as long as it was said to be.")
