import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torana.processes.ports import free_port
from torana.processes.probes import http_answers, redis_answers


@contextmanager
def answering(listener: socket.socket, *parts: bytes) -> Iterator[list[bytes]]:
    """A server for one connection: reads once, then writes the parts; yields what it read."""
    read: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            read.append(connection.recv(65_536))
            for part in parts:
                connection.sendall(part)

    thread = threading.Thread(target=serve)
    with listener:
        thread.start()
        yield read
        thread.join()


def http(*parts: bytes, **more: str | bytes) -> tuple[bool, bytes]:
    listener = socket.create_server(("127.0.0.1", 0))
    with answering(listener, *parts) as read:
        port = listener.getsockname()[1]
        answer = http_answers("127.0.0.1", port, "/healthz", seconds=30, **more)  # type: ignore[arg-type]
    return answer, read[0]


def test_a_200_is_an_answer() -> None:
    answered, request = http(b"HTTP/1.1 200 OK\r\n\r\n")
    assert answered
    assert request.startswith(b"GET /healthz HTTP/1.1\r\n")


def test_a_status_in_parts_is_read_whole() -> None:
    assert http(b"HTTP/", b"1.1 2", b"00 OK\r\n\r\n")[0]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 No\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n"])
def test_anything_else_is_none(answer: bytes) -> None:
    assert not http(answer)[0]


def test_a_stranger_on_the_port_is_none() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nwelcome"
    assert not http(answer, expected=b"model")[0]
    assert http(answer, expected=b"welcome")[0]


def test_a_credential_is_sent() -> None:
    assert b"\r\nAuthorization: Bearer key\r\n" in http(b"", bearer="key")[1]
    assert b"Authorization" not in http(b"")[1]


def test_nobody_there_is_none(tmp_path: Path) -> None:
    assert not http_answers("127.0.0.1", free_port(), "/healthz")
    assert not redis_answers(tmp_path / "redis.sock")


def test_a_wildcard_is_asked_through_loopback() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with answering(listener, b"HTTP/1.1 200 OK\r\n\r\n"):
        anywhere = "0.0.0.0"  # noqa: S104 -- what people set
        assert http_answers(anywhere, listener.getsockname()[1], "/healthz", seconds=30)


def test_a_silent_server_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not http_answers("127.0.0.1", port, "/healthz", seconds=0.05)


@pytest.mark.parametrize(
    ("answer", "ready"), [(b"+PONG\r\n", True), (b"-LOADING Redis is loading\r\n", False)]
)
def test_a_redis_that_loads_is_not_ready(tmp_path: Path, answer: bytes, ready: bool) -> None:
    path = tmp_path / "redis.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with answering(listener, answer):
        assert redis_answers(path, seconds=30) is ready
