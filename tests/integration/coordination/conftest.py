"""A real Redis on a unix socket, which can be stopped in all the ways in which one stops."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torana.coordination import SharedRedis, open_redis, redis_answers
from torana.processes.ports import free_port
from torana.processes.redis import find_redis, redis_url, socket_path


class RedisServer:
    """A server that keeps nothing on disk, so that a restart is an empty one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket_path(folder)
        self._socket.parent.mkdir(exist_ok=True, mode=0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = redis_url(self._socket)
        self.port = free_port()

    def start(self) -> None:
        program = str(find_redis().path)
        options = ["--unixsocket", str(self._socket), "--save", "", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [program, *options, "--port", str(self.port), "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: redis_answers(self.url))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=10)
        self._process = None

    def pause(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def fill(self) -> None:
        """Let it refuse every write."""
        self.say("CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        """Let it take writes again."""
        self.say("CONFIG", "SET", "maxmemory", "0")

    def say(self, *command: str | int) -> object:
        client = open_redis(self.url)
        try:
            answers = client.execute([command])
            assert answers is not None
            return answers[0]
        finally:
            client.close()

    def close(self) -> None:
        if self._process is not None:
            self.kill()


def wait_until(done: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait for a condition; how long it took, in seconds."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() < began + seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture
def until() -> Callable[..., float]:
    """Waits for a condition, 20 s at most unless told otherwise."""
    return wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def client(server: RedisServer) -> Iterator[SharedRedis]:
    opened = open_redis(server.url)
    yield opened
    opened.close()
