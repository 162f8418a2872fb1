"""A server whose answers a test sends byte by byte, plain or over TLS, when it likes."""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from pathlib import Path

WAIT_SECONDS = 10.0
HEADS = {
    "/chunked": b"transfer-encoding: chunked\r\n",
    "/length": b"content-length: 6\r\n",
    "/close": b"connection: close\r\n",
}
"""What the head of an answer says of its body, by the path that is asked for."""


class Wire:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        self._connection = connection
        self.hung_up = threading.Event()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = (
            context.wrap_bio(self._incoming, self._outgoing, server_side=True) if context else None
        )

    def sealed(self, data: bytes) -> bytes:
        """What travels for these bytes: over TLS, one record."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._outgoing.read()

    def send(self, data: bytes) -> None:
        """Send bytes of the answer."""
        self.send_raw(self.sealed(data))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they travel."""
        self._connection.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """Send a chunk of a chunked body."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def cut(self) -> None:
        """End the connection as a process that dies does."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Whoever waits for the next request closes it; while anybody waits, nothing else does.
        self._connection.shutdown(socket.SHUT_RD)

    def serve(self, begun: queue.SimpleQueue[Wire]) -> None:
        """Answer requests with their heads, and hand each to the test, which sends the rest."""
        try:
            self._shake_hands()
            while True:
                request = self._read_request()
                if not request:
                    break
                path = request.split(b" ", 2)[1].decode()
                self.send(b"HTTP/1.1 200 OK\r\n" + HEADS[path] + b"\r\n")
                begun.put(self)
        except OSError:
            pass  # The test ended it.
        finally:
            self._connection.close()
            self.hung_up.set()

    def _shake_hands(self) -> None:
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send_raw(self._outgoing.read())
                self._incoming.write(self._connection.recv(65_536))
            else:
                self.send_raw(self._outgoing.read())
                return

    def _read_request(self) -> bytes:
        """A request whose body is `{}`; empty when the other side has hung up."""
        request = b""
        while not request.endswith(b"\r\n\r\n{}"):
            # What follows the handshake may have come with it.
            data = self._opened()
            if data is None:
                arrived = self._connection.recv(65_536)
                if not arrived:
                    return b""
                self._incoming.write(arrived)
                continue
            if not data:
                return b""
            request += data
        return request

    def _opened(self) -> bytes | None:
        """What has come, as it was sent; None when nothing whole is here."""
        if self._tls is None:
            return self._incoming.read() or None
        try:
            return self._tls.read(65_536)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""


class WireServer:
    """Listens on loopback.

    Args:
        folder: with `certificate.pem` and `key.pem`, for TLS.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._context: ssl.SSLContext | None = None
        if folder is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._begun: queue.SimpleQueue[Wire] = queue.SimpleQueue()
        scheme = "http" if folder is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self._context is not None

    def wire(self) -> Wire:
        """The connection of the answer that was begun last."""
        return self._begun.get(timeout=WAIT_SECONDS)

    def stop(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(connection, self._context)
            threading.Thread(target=wire.serve, args=(self._begun,), daemon=True).start()
