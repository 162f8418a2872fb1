"""A PostgreSQL server that can be crashed and started again on the same port and files."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from bench import postgres
from bench.processes import Program, free_port, running, wait_until

START_SECONDS = 30.0


class Server:
    """A running server; call its methods from the main thread, whose child it is.

    Attributes:
        url: of the database `postgres`, as the superuser.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._account = postgres._account()
        binaries = postgres._binaries(self._account)
        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password)
        if self._account is not None:
            owner = pwd.getpwnam(self._account)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            os.chown(password_file, owner.pw_uid, owner.pw_gid)
        postgres._initialize(binaries, folder, password_file, self._account)
        port = free_port()
        self.url = f"postgresql://torana:{password}@127.0.0.1:{port}/postgres"
        settings = postgres.SETTINGS | {"max_connections": "200"}
        self._program = Program(
            arguments=[
                binaries / "postgres",
                *("-D", folder / "data", "-p", str(port)),
                *(part for item in settings.items() for part in ("-c", "=".join(item))),
            ],
            environment=postgres.ENVIRONMENT,
            folder=folder,
            log=log,
            user=self._account,
            stop_signal=signal.SIGQUIT,  # Its files are thrown away: no checkpoint.
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._process = self._stack.enter_context(running(self._program))
        wait_until(self._ready, START_SECONDS, "the start of PostgreSQL")

    def crash(self) -> None:
        """End it at once: no checkpoint, no farewell to its clients."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGQUIT)
        self.close()

    def close(self) -> None:
        """End it, if it runs."""
        self._stack.close()
        self._process = None

    def _ready(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def started(work: Path) -> Iterator[Server]:
    """A server for the length of a `with` block; its log lies in `work`."""
    account = postgres._account()
    with tempfile.TemporaryDirectory(dir=postgres._parent(work, account), prefix="pg-") as name:
        server = Server(Path(name), work / "postgres.log")
        try:
            server.start()
            yield server
        finally:
            server.close()
