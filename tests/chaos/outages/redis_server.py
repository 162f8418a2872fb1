"""A Redis that is killed, stopped, filled and emptied: it keeps nothing, so a restart is an empty one."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

from bench.processes import Program, free_port, running, wait_until
from torana.coordination import open_redis, redis_answers
from torana.processes.redis import find_redis

START_SECONDS = 10.0


class RedisServer:
    """A server on a port of the loopback interface; call its methods from the main thread.

    Args:
        folder: of its log.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._program = Program(
            arguments=[
                find_redis().path,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no"),
            ],
            environment={},
            folder=folder,
            log=folder / "redis.log",
            stop_signal=signal.SIGKILL,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = self._stack.enter_context(running(self._program))
        wait_until(lambda: redis_answers(self.url), START_SECONDS, "the start of Redis")

    def kill(self) -> None:
        """End it at once, if it runs."""
        self._process = None
        self._stack.close()

    def stop(self) -> None:
        """Let it answer nothing; connections are still accepted by the system."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def fill(self) -> None:
        """Let it refuse every write for want of memory."""
        self._say("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self._say("CONFIG", "SET", "maxmemory", "1")

    def make_room(self) -> None:
        """Let it take writes again."""
        self._say("CONFIG", "SET", "maxmemory", "0")

    def restore(self) -> None:
        """Have it answer and take writes, whatever was done to it."""
        if self._process is None:
            self.start()
        self.wake()
        wait_until(lambda: redis_answers(self.url), START_SECONDS, "an answer of Redis")
        self.make_room()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _say(self, *command: str) -> None:
        client = open_redis(self.url)
        try:
            assert client.execute([command]) == [b"OK"], command
        finally:
            client.close()
