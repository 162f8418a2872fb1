"""A name server for tests: it knows no name, and about those under `.silent.test` it says nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ADDRESS = "127.0.0.153"
SILENT, UNKNOWN = "silent.test", "unknown.test"
_PORT = 53
_HEADER = 12
_NO_SUCH_NAME = b"\x81\x83"
"""A response to a query that wanted recursion, with the code 3 (RFC 1035, 4.1.1)."""


@contextmanager
def name_server() -> Iterator[set[str]]:
    """Serve for the length of a `with` block; the names that were asked for.

    Raises:
        PermissionError: this account may not listen on port 53.
    """
    asked: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESS, _PORT))
        server.settimeout(0.1)
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                try:
                    query, peer = server.recvfrom(1500)
                except TimeoutError:
                    continue
                name = _name_of(query)
                asked.add(name)
                if not name.endswith(SILENT):
                    server.sendto(query[:2] + _NO_SUCH_NAME + query[4:], peer)

        thread = threading.Thread(target=serve, name="name server", daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            stopping.set()
            thread.join(5)


def _name_of(query: bytes) -> str:
    labels, place = [], _HEADER
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode(errors="replace"))
        place += 1 + length
    return ".".join(labels).lower()
