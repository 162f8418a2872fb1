"""Questions that tell whether a child serves, each answered in a bounded time.

Raw sockets: a client library would cost more than the answer is worth.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

PROBE_SECONDS = 1.0
MOST_BYTES = 65_536
STATUS_BYTES = len(b"HTTP/1.1 200")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- we connect


def http_answers(
    host: str,
    port: int,
    path: str,
    *,
    bearer: str = "",
    expected: bytes = b"",
    seconds: float = PROBE_SECONDS,
) -> bool:
    """Whether `GET path` gets a 200, in `seconds` at most.

    Args:
        host: the address that the server listens on; a wildcard is asked through loopback.
        port: its port.
        path: what to get.
        bearer: a credential, where the path needs one.
        expected: what the answer must contain, to tell the server from a stranger on its port.
        seconds: for all of it.
    """
    target = WILDCARDS.get(host, host)
    authority = f"[{target}]:{port}" if ":" in target else f"{target}:{port}"
    lines = [f"GET {path} HTTP/1.1", f"Host: {authority}", "Connection: close"]
    lines += [f"Authorization: Bearer {bearer}"] if bearer else []
    request = "\r\n".join([*lines, "", ""])
    deadline = time.monotonic() + seconds
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((target, port), timeout=seconds) as connection,
    ):
        connection.sendall(request.encode())
        while len(answer) < MOST_BYTES and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (part := connection.recv(MOST_BYTES)):
                break
            answer += part
            if expected in answer and len(answer) >= STATUS_BYTES:
                break
    return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) and expected in answer


def redis_answers(path: Path, *, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the Redis on a unix socket answers PING; while it loads its data it does not."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
