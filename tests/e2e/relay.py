"""A TCP relay in front of a database, that can be cut or frozen: an outage without an outage."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65_536


class Relay:
    """Passes bytes on between a port of its own and a target, until told otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._serve(self._listener)

    def cut(self) -> None:
        """Refuse new connections and end those that are open, as a server that died does."""
        # On Linux a thread in `accept` keeps a closed listener alive: wake it first.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_connections()

    def freeze(self) -> None:
        """Accept connections and pass nothing on, as a server that is stopped does."""
        self._flowing.clear()

    def restore(self) -> None:
        """Work again."""
        self._flowing.set()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._serve(self._listener)

    def close(self) -> None:
        """End everything."""
        self._flowing.set()
        self.cut()

    def _serve(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            self._end(end)

    def _end_connections(self) -> None:
        with self._lock:
            open_now = list(self._sockets)
        for connection in open_now:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextmanager
def relay_to(host: str, port: int) -> Iterator[Relay]:
    """A relay for the length of a `with` block."""
    relay = Relay((host, port))
    try:
        yield relay
    finally:
        relay.close()
