"""The service under chaos: a database with a budget, web servers, a cron, and who kills them."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.processes import Program, free_port, running, titled, wait_until
from tests.chaos.restartable_postgres import Server
from tests.chaos.upstream import REPOSITORY, Upstream
from tests.chaos.watcher import differences, install_trigger
from torana.admin.keys import CreatedKey, create_key
from torana.core.money import Price
from torana.db.session import Database
from torana.ledger.locking import database_now
from torana.ledger.prices import current_prices
from torana.ledger.terms import BudgetTerms

TORANA = Path(sys.executable).parent / "torana"
SECRET = secrets.token_hex(32)
SEED = "chaos_seed"
"""The name of the database that all others are copied from."""
PATIENCE_SECONDS = 3.0
BEAT_SECONDS = 0.5
READY_SECONDS = 40.0
COMMAND_SECONDS = 60.0
WEB_TITLE = "torana: web"
_HOLDERS = """
SELECT o.pid, count(*) FROM reservations r JOIN owners o ON o.id = r.owner_id
WHERE o.heartbeat_at > now() - interval '2 seconds' GROUP BY o.pid
"""
"""Only of the living: a pid may come again."""


def make_seed(server: Server, folder: Path) -> None:
    """Make the database that the others are copied from, through the command line."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {SEED}")
    url = _url_of(server, SEED)
    environment = _environment(folder, url, "")
    _torana(environment, folder, "db", "upgrade")
    # Fractions of a nano-dollar for a token, so that costs are odd and rounding shows.
    _torana(
        environment, folder, "prices", "set", "openai/*", "--input", "0.0373", "--output", "0.1117"
    )
    install_trigger(url)


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A database with its files, and what its processes are started with."""

    folder: Path
    url: str
    database: Database
    price: Price
    upstream: Upstream

    def key(
        self, name: str, budget: int | BudgetTerms | None, *, project: str = "default"
    ) -> CreatedKey:
        """Make a key; a budget of so many nano-dollars is one for all time."""
        if isinstance(budget, int):
            budget = BudgetTerms(amount_nano=budget, period="total")
        return create_key(self.database, project=project, name=name, budget=budget)

    @contextmanager
    def web(
        self, workers: int, *options: str, url: str | None = None, beat: float = BEAT_SECONDS
    ) -> Iterator[Web]:
        """A web server for the length of a `with` block.

        Args:
            workers: its processes.
            options: more for `tests.chaos.web_process`.
            url: another way to the database.
            beat: seconds between signs of life; zero for the product's own.
        """
        port = free_port()
        environment = _environment(self.folder, url or self.url, self.upstream.url) | {
            "TORANA_PORT": str(port),
            "TORANA_WORKERS": str(workers),
            "TORANA_LOG_LEVEL": "WARNING",
            # A client that hangs up is drained to its usage.
            "TORANA_DRAIN_SECONDS": "60",
            "TORANA_SHUTDOWN_SECONDS": "20",
        }
        module = ("-m", "tests.chaos.web_process", "--folder", str(self.folder))
        program = Program(
            arguments=[sys.executable, *module, "--beat", str(beat), *options],
            environment=environment,
            folder=self.folder,
            log=self.folder / "web.log",
            # The figures are taken by then; its process group is killed after it.
            stop_signal=signal.SIGKILL,
        )
        with running(program) as process:
            web = Web(process=process, port=port, workers=workers)
            wait_until(web.is_ready, READY_SECONDS, "the readiness of all web processes")
            yield web

    @contextmanager
    def cron(self, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
        """A cron for the length of a `with` block; zero leaves it the product's patience."""
        program = Program(
            arguments=[sys.executable, "-m", "tests.chaos.cron_process", str(patience)],
            environment=_environment(self.folder, self.url, ""),
            folder=self.folder,
            log=self.folder / "cron.log",
        )
        with running(program):
            yield

    def reserved(self) -> int:
        """How many calls are reserved."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM reservations").fetchone()
        return int(row[0]) if row else 0

    def holders(self) -> dict[int, int]:
        """How many calls each process holds, by its pid."""
        with psycopg.connect(self.url) as connection:
            return dict(connection.execute(_HOLDERS).fetchall())

    def wait_for_holder(self, calls: int, among: Sequence[int] = (), seconds: float = 30.0) -> int:
        """Wait until a process, one of `among` if any are named, holds so many calls; its pid."""
        found: list[int] = []

        def look() -> bool:
            held = self.holders()
            found[:] = [
                pid for pid, count in held.items() if count >= calls and (not among or pid in among)
            ]
            return bool(found)

        wait_until(look, seconds, f"a process with {calls} open calls")
        return found[0]

    def wait_until_settled(self, seconds: float) -> None:
        """Wait until nothing is reserved, at the provider and here."""
        wait_until(lambda: self.upstream.in_flight == 0, seconds, "the provider's last answer")
        wait_until(lambda: self.reserved() == 0, seconds, "the last posting", poll_seconds=0.1)

    def verify(self, *, by_command: bool = False) -> None:
        """The books agree; `torana ledger verify` says so with its exit status."""
        if by_command:
            _torana(_environment(self.folder, self.url, ""), self.folder, "ledger", "verify")
        assert differences(self.database) == []

    def spooled(self) -> list[Path]:
        """The spool files that are there."""
        return sorted((self.folder / "data" / "spool").glob("*.spool"))


@dataclass(frozen=True, kw_only=True)
class Web:
    """A running web server."""

    process: subprocess.Popen[bytes]
    port: int
    workers: int

    def pids(self) -> list[int]:
        """Its web processes."""
        return [found.pid for found in titled(self.process.pid, WEB_TITLE)]

    def is_ready(self) -> bool:
        """Whether all processes are there and one of them is ready."""
        assert self.process.poll() is None, "the web server ended"
        if len(self.pids()) < self.workers:
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def installed(server: Server, upstream: Upstream, folder: Path) -> Iterator[Installation]:
    """An installation on a database of its own, copied from the seed."""
    name = f"chaos_{secrets.token_hex(4)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {SEED}")
    url = _url_of(server, name)
    upstream.begin()
    with ExitStack() as stack:
        database = Database(url)
        stack.callback(database.dispose)
        with database.read() as session:
            price = current_prices(session, database_now(session))["openai", "*"]
        yield Installation(
            folder=folder, url=url, database=database, price=price, upstream=upstream
        )


def _url_of(server: Server, name: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{name}"


def _environment(folder: Path, url: str, upstream_url: str) -> dict[str, str]:
    (folder / "data").mkdir(exist_ok=True)
    return {
        "PATH": f"{TORANA.parent}{os.pathsep}{os.defpath}",
        # This checkout, whichever one is installed.
        "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TORANA_DATA_DIR": str(folder / "data"),
        "TORANA_DATABASE_URL": url,
        "TORANA_SECRET_KEYS": SECRET,
        **({"OPENAI_API_KEY": "sk-chaos", "OPENAI_BASE_URL": upstream_url} if upstream_url else {}),
    }


def _torana(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [TORANA, *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert result.returncode == 0, f"torana {arguments}: {result.stdout} {result.stderr}"
    return result.stdout
