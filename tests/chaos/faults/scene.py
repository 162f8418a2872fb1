"""Two real web processes on PostgreSQL and Redis, with routes to scripted providers."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from bench.processes import Program, free_port, running, wait_until
from tests.chaos.faults.providers import Providers
from tests.chaos.gateway import READY_SECONDS, SECRET, SEED, Web, _environment, _torana, _url_of
from tests.chaos.restartable_postgres import Server
from torana.admin.allowed_hosts import allow_host
from torana.admin.keys import create_key
from torana.admin.prices import set_by_operator
from torana.admin.providers import PURPOSE, add_provider
from torana.admin.routes import put_route
from torana.core.money import PriceTerms, Rates
from torana.db.session import Database
from torana.processes.redis import prepare_redis
from torana.routing.routes import Deadlines, Route, RouteTarget
from torana.secret_box import SecretBox

WORKERS = 2
OPEN_SECONDS = 1.0
"""How long a breaker is open at first, a fifth more or less by chance."""
FIRST_BYTE_SECONDS = 0.6
IDLE_SECONDS = 0.6
RATES = Rates(input_tokens=37_300_000, output_tokens=111_700_000)
DEADLINES = Deadlines(connect=2.0, first_byte=FIRST_BYTE_SECONDS, idle=IDLE_SECONDS, total=20.0)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What runs.

    Attributes:
        folder: the traces and gauges of the web processes are here.
        environment: of commands.
        key: of the callers.
    """

    folder: Path
    url: str
    database: Database
    box: SecretBox
    environment: dict[str, str]
    providers: Providers
    web: Web
    key: str
    _asks: list[int] = field(default_factory=list)

    def route(self, name: str, *targets: str, **more: Any) -> Route:
        """Let an alias stand for targets, `provider/model`, the first by priority."""
        entries = tuple(
            RouteTarget(provider=provider, model=model, priority=number)
            for number, (provider, _, model) in enumerate(
                (target.partition("/") for target in targets), start=1
            )
        )
        route = Route(name=name, targets=entries, **({"deadlines": DEADLINES} | more))
        put_route(self.database, route)
        return route

    def provider(self, name: str, listener: str = "steady", *keys: tuple[str, str]) -> None:
        """Add a provider behind a listener, with a price for all of its models."""
        add_provider(
            self.database,
            self.box,
            name=name,
            kind="compatible",
            base_url=self.providers.url(listener, name),
            keys=keys or [("only", f"sk-{name}")],
        )
        set_by_operator(self.database, provider=name, model="*", terms=PriceTerms(rates=RATES))

    def everywhere(self) -> None:
        """Wait until every process has read the configuration as it is now."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT version FROM config_version").fetchone()
        assert row is not None
        seen = f'"version":{row[0]}'

        def told() -> bool:
            lines = (self.folder / "web.log").read_text().splitlines()
            return sum("configuration.refreshed" in line and seen in line for line in lines) >= (
                WORKERS
            )

        wait_until(told, 5, f"version {row[0]} in {WORKERS} processes")

    def settled(self, seconds: float = 30.0) -> None:
        """Wait until no call is under way, at the providers and here."""
        wait_until(lambda: self.providers.open_calls == 0, seconds, "the providers' last answer")
        wait_until(lambda: self._reserved() == 0, seconds, "the last posting", poll_seconds=0.1)

    def verify(self) -> None:
        """`torana ledger verify` finds nothing."""
        _torana(self.environment, self.folder, "ledger", "verify")

    def gauges(self) -> dict[int, dict[str, Any]]:
        """What each web process holds now, by its pid."""
        number = len(self._asks)
        self._asks.append(number)
        (self.folder / f"ask.{number}").touch()
        pids = self.web.pids()
        paths = {pid: self.folder / f"gauge.{pid}.{number}" for pid in pids}
        wait_until(lambda: all(path.exists() for path in paths.values()), 20, "gauges")
        return {pid: json.loads(path.read_text()) for pid, path in paths.items()}

    def _reserved(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM reservations").fetchone()
        return int(row[0]) if row else 0


@contextmanager
def set_up(server: Server, providers: Providers, folder: Path) -> Iterator[Scene]:
    """A scene for the length of a `with` block."""
    name = f"faults_{secrets.token_hex(4)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {SEED}")
    url = _url_of(server, name)
    with ExitStack() as stack:
        database = Database(url)
        stack.callback(database.dispose)
        allow_host(database, "127.0.0.1")
        key = create_key(database, project="default", name="callers").key
        redis = stack.enter_context(_redis(folder))
        port = free_port()
        environment = _environment(folder, url, "") | {
            "TORANA_REDIS_URL": redis,
            "TORANA_PORT": str(port),
            "TORANA_WORKERS": str(WORKERS),
            "TORANA_BREAKER_SECONDS": str(OPEN_SECONDS),
            "TORANA_SHUTDOWN_SECONDS": "20",
        }
        program = Program(
            arguments=[
                *(sys.executable, "-m", "tests.chaos.faults.traced_process"),
                *("--folder", folder),
            ],
            environment=environment,
            folder=folder,
            log=folder / "web.log",
            stop_signal=signal.SIGKILL,
        )
        process = stack.enter_context(running(program))
        web = Web(process=process, port=port, workers=WORKERS)
        wait_until(web.is_ready, READY_SECONDS, "the readiness of all web processes")
        yield Scene(
            folder=folder,
            url=url,
            database=database,
            box=SecretBox([SecretStr(SECRET)], PURPOSE),
            environment=environment,
            providers=providers,
            web=web,
            key=key,
        )


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A Redis for the length of a `with` block; its URL."""
    made = prepare_redis(folder, folder / "run-redis")
    program = Program(
        arguments=[made.program.path, made.config],
        environment={},
        folder=folder,
        log=folder / "redis.log",
    )
    with running(program):
        wait_until(made.answers, 10, "the start of Redis")
        yield made.url
