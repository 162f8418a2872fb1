"""Raw sockets, for callers that behave in ways no library does: hang up, wait, send half."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.constants import PROMPT
from tests.support.server import RunningServer

CHAT = "/v1/chat/completions"
WAIT_SECONDS = 30.0


def chat_request(server: RunningServer, model: str, *, stream: bool = False) -> bytes:
    """The bytes of a call, as a caller that keeps its connection sends them."""
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "stream": stream,
            "max_tokens": 40,
        }
    ).encode()
    head = [
        f"POST {CHAT} HTTP/1.1",
        "host: torana",
        f"authorization: Bearer {server.key}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body


@contextmanager
def connected(server: RunningServer) -> Iterator[socket.socket]:
    """A connection to the server."""
    with socket.create_connection(server.address, timeout=WAIT_SECONDS) as connection:
        yield connection


def read_until(connection: socket.socket, marker: bytes) -> bytes:
    """Read until a marker has come; the end of the connection before it is a failure."""
    data = b""
    while marker not in data:
        part = connection.recv(65_536)
        assert part, data
        data += part
    return data


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the other side closes the connection."""
    data = b""
    while True:
        part = connection.recv(65_536)
        if not part:
            return data
        data += part


def reset(connection: socket.socket) -> None:
    """End the connection with a RST, as a process that is killed with unread data does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
