"""Waiting for a provider's next bytes without beginning to read them.

A read that has begun can't be given up: http.client would lose its place in the body's chunks. So
whoever wants to be told of a silence waits here first, until a read would find something. This
module knows how http.client keeps its place, and nothing of a call's limits: who keeps them shuts
the connection, and that ends a wait too.
"""

from __future__ import annotations

import socket
import ssl
import time
from http.client import HTTPResponse
from io import BufferedReader

from torana.outbound.readiness import readiness

_CHUNK_END = 2
"""How many bytes are between a chunk and the next one's size."""


class BodyWatch:
    """The body of one answer.

    Args:
        response: as http.client made it; nobody may be reading from it during a wait.
        connected: the socket that it comes over.
    """

    def __init__(self, response: HTTPResponse, connected: socket.socket) -> None:
        self._response = response
        self._socket = connected
        self._readiness = readiness(connected.fileno())

    def wait(self, seconds: float) -> bool:
        """Wait until a read would find a byte of the body, its end or an error.

        A provider that goes silent twice between two chunks, or in what follows the last one, is
        found out by the limits of the call only.

        Returns:
            False when nothing has come for `seconds`.

        Raises:
            OSError: the connection is broken.
        """
        deadline: float | None = None
        while True:
            if self._response.isclosed() or self._response.length == 0:
                return True  # A read says that this is the end without asking the socket.
            reader = self._response.fp
            held = self._peek(reader)
            frame = self._frame(reader, held) if held else b""
            if frame is None:
                return True
            now = time.monotonic()
            if deadline is None:
                deadline = now + seconds
            elif frame == held:
                # Something has come, and there is not more to see: it is the end, or joins what the
                # reader holds only when that is read.
                return True
            left = deadline - now
            if left <= 0 or not self._readiness.within(left):
                return False

    def close(self) -> None:
        """Be done with it; the connection is left alone."""
        self._readiness.close()

    def _peek(self, reader: BufferedReader) -> bytes | None:
        """What is there to be read now; None when TLS has received nothing whole."""
        limit = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            return reader.peek()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        finally:
            self._socket.settimeout(limit)

    def _frame(self, reader: BufferedReader, held: bytes) -> bytes | None:
        """The beginning of a chunk's frame that the reader holds; None when a read would not wait.

        A reader that holds anything can't be filled up. So what nearly always waits in it, the end
        of the chunk before, is taken out here, as http.client would do with the next read.
        """
        response = self._response
        if not response.chunked or response.chunk_left:
            return None
        if response.chunk_left == 0:
            if len(held) < _CHUNK_END:
                return held
            held = held[len(reader.read(_CHUNK_END)) :]
            response.chunk_left = None
        size, newline, body = held.partition(b"\n")
        if body or (newline and not _is_size(size)):
            return None  # What is no size is http.client's to say, at once.
        return held


def _is_size(line: bytes) -> bool:
    """Whether http.client takes a line for the size of a chunk."""
    try:
        int(line.partition(b";")[0], 16)
    except ValueError:
        return False
    return True
