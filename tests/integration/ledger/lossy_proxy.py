"""A proxy in front of a server, that loses a connection at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class LossyProxy:
    """Passes bytes on in both directions until it was told to lose something.

    Attributes:
        lost: how often it lost something.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lose: deque[tuple[str, bytes]] = deque()
        self.lost = 0
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def lose(self, what: str, needle: bytes) -> None:
        """Cut the next connection whose client sends `needle`; one after another if said again.

        Args:
            what: `request`: the server never gets it. `answer`: the server has answered, and the
                client does not hear of it. `both ends`: the client is cut off while the server
                may still be at it.
            needle: bytes of the request; empty for any.
        """
        self._lose.append((what, needle))

    def freeze(self) -> None:
        """Say nothing more, in either direction, until `thaw`."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Go on."""
        self._flowing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._flowing.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._target)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        swallow, answered = threading.Event(), threading.Event()

        def pass_answers_on() -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(_CHUNK):
                    self._flowing.wait()
                    if swallow.is_set():
                        answered.set()
                        _shut(client)
                    else:
                        client.sendall(data)

        answers = threading.Thread(target=pass_answers_on, daemon=True)
        answers.start()
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                self._flowing.wait()
                what = self._lost(data)
                if what == "request":
                    break
                if what == "both ends":
                    _shut(client)
                if what is not None:
                    swallow.set()
                server.sendall(data)
        if swallow.is_set():
            answered.wait(5)
        _shut(client)
        _shut(server)
        answers.join(5)
        client.close()
        server.close()

    def _lost(self, data: bytes) -> str | None:
        if not self._lose or self._lose[0][1] not in data:
            return None
        what, _ = self._lose.popleft()
        self.lost += 1
        return what


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
