"""Servers that take uploads as a script says, byte by byte, and bodies to send to them."""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

WAIT_SECONDS = 20.0


@dataclass
class Pieces:
    """A body of so many bytes, made as it is asked for."""

    length: int
    piece: int = 256 * 1024
    opened: int = 0
    given: int = 0

    def open(self) -> Iterator[bytes]:
        self.opened += 1
        self.given = 0
        whole = b"x" * self.piece
        while self.given < self.length:
            size = min(self.piece, self.length - self.given)
            self.given += size
            yield whole[:size]


@dataclass
class Given:
    """A body of just these pieces, whatever it says of its length."""

    length: int
    pieces: list[bytes | OSError]

    def open(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, OSError):
                raise piece
            yield piece


class Connection:
    """The server's end, for the script of a check."""

    def __init__(self, connected: socket.socket, number: int) -> None:
        self._socket = connected
        self._held = b""
        self.number = number
        self.head = b""

    @property
    def length(self) -> int:
        """What the request says of its body."""
        lines = self.head.lower().split(b"\r\n")
        return next(int(one[15:]) for one in lines if one.startswith(b"content-length:"))

    def read_head(self) -> bool:
        """Read a request's head; False when there is none any more."""
        while b"\r\n\r\n" not in self._held:
            data = self._socket.recv(65_536)
            if not data:
                return False
            self._held += data
        self.head, _, self._held = self._held.partition(b"\r\n\r\n")
        return True

    def read(self, size: int) -> int:
        """Read so much of a body; how much came before the end."""
        left = size - len(self._held)
        self._held = b""
        while left > 0:
            data = self._socket.recv(min(left, 262_144))
            if not data:
                break
            left -= len(data)
        return size - left

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def answer(self, status: int = 200, *more: str) -> None:
        """Send a whole answer, whose body is the number of the connection."""
        body = str(self.number)
        lines = [f"HTTP/1.1 {status} So", f"content-length: {len(body)}", *more, "", body]
        self.write("\r\n".join(lines).encode())

    def reset(self) -> None:
        """End the connection with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def wait_for_hang_up(self) -> None:
        """Read on and throw away, until the other side ends the connection."""
        with suppress(OSError):
            while self._socket.recv(262_144):
                pass


Script = Callable[[Connection], None]


def take_all(connection: Connection) -> None:
    """What a healthy provider does."""
    while connection.read_head():
        connection.read(connection.length)
        connection.answer()


@dataclass
class Receiver:
    """A server that lets a script take a connection; plain, or over TLS with a certificate."""

    folder: Path | None = None
    script: Script = take_all
    problems: list[BaseException] = field(default_factory=list)
    over: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        if self.folder is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        # What waits unread is sent for its sender: a slow reader must be noticed.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        scheme = "http" if self.folder is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/v1/files"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=self._play, args=(accepted, number), daemon=True).start()

    def _play(self, accepted: socket.socket, number: int) -> None:
        accepted.settimeout(WAIT_SECONDS)
        # A small answer must not wait for an acknowledgement: a RST would overtake it.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is not None:
                accepted = self._context.wrap_socket(accepted, server_side=True)
            self.script(Connection(accepted, number))
        except OSError:
            pass  # The client hung up.
        except BaseException as problem:
            self.problems.append(problem)
            raise
        finally:
            accepted.close()
            self.over.put(number)
