"""A PostgreSQL server with a tablespace on a small disk, which survives the server's crashes."""

from __future__ import annotations

import dataclasses
import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench import postgres
from bench.processes import Program, running, wait_until
from tests.chaos.outages.confinement import Disk, confined
from tests.chaos.restartable_postgres import Server

TABLESPACE = "small"
_SIZE = "48m"
_START_SECONDS = 10.0


class _Inside(Server):
    """A server that is started inside the mount namespace of another process."""

    def __init__(self, folder: Path, log: Path, pid: int) -> None:
        super().__init__(folder, log)
        program = self._program
        before: list[str | Path] = ["nsenter", "--target", str(pid), "--mount", "--"]
        if program.user is not None:
            account = pwd.getpwnam(program.user)
            before += ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
            before += ["--clear-groups"]
        environment = {**program.environment, "PATH": f"{os.defpath}:/usr/sbin:/sbin"}
        self._program = dataclasses.replace(
            program,
            arguments=[*before, *program.arguments],
            environment=environment,
            user=None,
        )


@contextmanager
def started(work: Path) -> Iterator[tuple[Server, Disk]]:
    """A server and its small disk for the length of a `with` block."""
    account = postgres._account()
    with tempfile.TemporaryDirectory(dir=postgres._parent(work, account), prefix="pg-") as name:
        folder = Path(name)
        small = folder / TABLESPACE
        small.mkdir()
        holder = Program(
            # It keeps the disk while no server runs.
            arguments=[*confined(small, _SIZE), "sleep", "3600"],
            environment={"PATH": f"{os.defpath}:/usr/sbin:/sbin"},
            folder=folder,
            log=work / "holder.log",
        )
        with running(holder) as process:
            disk = Disk(process.pid, small)
            wait_until(
                lambda: disk.path.exists() and os.path.ismount(disk.path),
                _START_SECONDS,
                "the small disk",
            )
            server = _Inside(folder, work / "postgres.log", process.pid)
            if account is not None:
                owner = pwd.getpwnam(account)
                os.chown(disk.path, owner.pw_uid, owner.pw_gid)
            try:
                server.start()
                with psycopg.connect(server.url, autocommit=True) as admin:
                    admin.execute(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{small}'")
                yield server, disk
            finally:
                server.close()
