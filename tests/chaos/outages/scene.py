"""Two web servers of one process each on one PostgreSQL and one Redis, all of which may be lost.

`direct` talks to both servers itself; `relayed` through relays, that can make them slow. Each has
its spool on a small disk of its own, and its names from the name server of the tests, where
namespaces are allowed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from pydantic import SecretStr

from bench.processes import wait_until
from tests.chaos.books import Audit, audit
from tests.chaos.gateway import READY_SECONDS, SECRET, SEED, _environment, _url_of
from tests.chaos.outages import confinement
from tests.chaos.outages.gateways import Gateway, started
from tests.chaos.outages.name_server import ADDRESS, SILENT, UNKNOWN, name_server
from tests.chaos.outages.probe import Told
from tests.chaos.outages.redis_server import RedisServer
from tests.chaos.outages.slow_relay import SlowRelay, slow_relay_to
from tests.chaos.restartable_postgres import Server
from tests.chaos.upstream import QUICK, SLOWEST, Upstream
from tests.chaos.watcher import differences
from tests.contract.fake_upstream import refusing_port
from torana.admin.allowed_hosts import allow_host
from torana.admin.keys import create_key
from torana.admin.prices import set_by_operator
from torana.admin.providers import PURPOSE, add_provider
from torana.admin.routes import put_route
from torana.core.money import Price, PriceTerms, Rates
from torana.db.session import Database
from torana.ledger.locking import database_now
from torana.ledger.prices import current_prices
from torana.routing.routes import CacheTerms, Route, RouteTarget
from torana.secret_box import SecretBox

PLAIN, KEPT, LONG, LONGEST = "plain", "kept", "long", "longest"
"""Aliases: as it is; with the cache; whose provider takes 1.5 s, and 3 s."""
RESILIENT, UNRESOLVED, HELD = "resilient", "unresolved", "held"
"""Aliases whose first target refuses connections, has no such name, has a name nobody answers for."""
FORSAKEN = "forsaken"
"""An alias whose only target refuses connections."""
_LONGEST_MODEL = "longest"
CONNECT_SECONDS = 1.0
DISK = "4m"
SETTLE_SECONDS = 30.0
_RATES = Rates(input_tokens=37_300_000, output_tokens=111_700_000)
"""Those of the seed."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What runs.

    Attributes:
        names: of hosts that were asked for; None where there is no name server of the tests.
    """

    url: str
    database: Database
    price: Price
    upstream: Upstream
    postgres: Server
    redis: RedisServer
    database_relay: SlowRelay
    redis_relay: SlowRelay
    direct: Gateway
    relayed: Gateway
    names: set[str] | None
    folder: Path

    @contextmanager
    def another(self, name: str) -> Iterator[Gateway]:
        """One more web server for the length of a `with` block."""
        way = (self.url, self.redis.url)
        with _gateway(name, self.folder, way, self.direct.key, self.upstream, named=False) as made:
            wait_until(made.web.is_ready, READY_SECONDS, f"the readiness of {name}")
            yield made

    @property
    def gateways(self) -> tuple[Gateway, Gateway]:
        """Both web servers."""
        return self.direct, self.relayed

    def begin(self) -> None:
        """Wait until all is well."""
        for gateway in self.gateways:
            gateway.wait_until_ready("ready", READY_SECONDS)
        self.settle()

    def settle(self) -> None:
        """Wait until no call is under way, at the provider and here."""
        wait_until(lambda: self.upstream.in_flight == 0, SETTLE_SECONDS, "the last answer")
        wait_until(
            lambda: self._reserved() == 0, SETTLE_SECONDS, "the last posting", poll_seconds=0.1
        )

    def audit(self, told: Sequence[Told]) -> Audit:
        """Hold the books against the provider's: nothing is lost, nothing is posted twice.

        Args:
            told: calls that were made.
        """
        self.settle()
        result = audit(self.url, self.upstream.journal(), [one.seen() for one in told], self.price)
        result.complain()
        assert differences(self.database) == []
        return result

    def _reserved(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM reservations").fetchone()
        return int(row[0]) if row else 0


@contextmanager
def postgres_stopped(server: Server) -> Iterator[None]:
    """Stop every process of a PostgreSQL server for the length of a `with` block."""
    assert server._process is not None
    stopped: list[psutil.Process] = []
    try:
        root = psutil.Process(server._process.pid)
        root.suspend()  # First, so that it starts no other.
        stopped.append(root)
        for child in root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.suspend()
                stopped.append(child)
        yield
    finally:
        for process in reversed(stopped):
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def set_up(
    server: Server, upstream: Upstream, folder: Path, *, tablespace: str = "pg_default"
) -> Iterator[Scene]:
    """A scene for the length of a `with` block; its database lies in a tablespace."""
    name = f"outages_{secrets.token_hex(4)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {SEED} TABLESPACE {tablespace}")
    url = _url_of(server, name)
    with ExitStack() as stack:
        database = Database(url)
        stack.callback(database.dispose)
        key = create_key(database, project="default", name="callers").key
        _configure(database, stack.enter_context(refusing_port()))
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        redis.start()
        port = int(urlsplit(url).port or 0)
        to_database = stack.enter_context(slow_relay_to(port))
        to_redis = stack.enter_context(slow_relay_to(redis.port))
        names = None
        with suppress(OSError):
            names = stack.enter_context(name_server())
        ways = {
            "direct": (url, redis.url),
            "relayed": (
                url.replace(f":{port}/", f":{to_database.port}/"),
                f"redis://127.0.0.1:{to_redis.port}/0",
            ),
        }
        made = {
            name: stack.enter_context(
                _gateway(name, folder, way, key, upstream, named=names is not None)
            )
            for name, way in ways.items()
        }
        for gateway in made.values():
            wait_until(gateway.web.is_ready, READY_SECONDS, f"the readiness of {gateway.name}")
        with database.read() as session:
            price = current_prices(session, database_now(session))["openai", "*"]
        yield Scene(
            url=url,
            database=database,
            price=price,
            upstream=upstream,
            postgres=server,
            redis=redis,
            database_relay=to_database,
            redis_relay=to_redis,
            names=names,
            folder=folder,
            **made,
        )


def _configure(database: Database, dead_port: int) -> None:
    """Providers and aliases; the first provider of some is out of reach."""
    allow_host(database, "127.0.0.1")
    box = SecretBox([SecretStr(SECRET)], PURPOSE)
    hosts = {
        "down": f"127.0.0.1:{dead_port}",
        "unknown": f"provider.{UNKNOWN}",
        "silent": f"provider.{SILENT}",
    }
    for name, host in hosts.items():
        add_provider(
            database,
            box,
            name=name,
            base_url=f"http://{host}/v1",
            api_key="sk-nobody",
            resolve=_nobody,
        )
        set_by_operator(database, provider=name, model="*", terms=PriceTerms(rates=_RATES))
    _route(database, PLAIN, "openai")
    _route(database, KEPT, "openai", cache=CacheTerms(seconds=600))
    _route(database, LONG, "openai", model=SLOWEST)
    _route(database, LONGEST, "openai", model=_LONGEST_MODEL)
    _route(database, RESILIENT, "down", "openai")
    _route(database, f"{RESILIENT}-{LONG}", "down", "openai", model=SLOWEST)
    _route(database, FORSAKEN, "down", model=FORSAKEN)
    _route(database, UNRESOLVED, "unknown", "openai")
    _route(database, HELD, "silent", "openai")


def begin_books(upstream: Upstream) -> None:
    """Open new books of a provider, which has one more model."""
    upstream.begin()
    bill = {"bill": "request", "journal": True, "chunks": 8}
    models = {
        SLOWEST: bill | {"latency_ms": 1500, "chunk_ms": 2},
        _LONGEST_MODEL: bill | {"latency_ms": 3000, "chunk_ms": 2},
    }
    upstream._call("POST", "/_behaviour", bill | {"models": models})


def _nobody(host: str, port: int) -> Sequence[Any]:
    """A name server that knows nothing; the machine's own may be far away."""
    raise OSError(host, port)


def _route(database: Database, name: str, *providers: str, model: str = QUICK, **more: Any) -> None:
    targets = tuple(
        RouteTarget(provider=provider, model=model, priority=number)
        for number, provider in enumerate(providers, start=1)
    )
    put_route(database, Route(name=name, targets=targets, **more))


@contextmanager
def _gateway(
    name: str, parent: Path, way: tuple[str, str], key: str, upstream: Upstream, *, named: bool
) -> Iterator[Gateway]:
    """A web server that begins to start; `named`: the name server of the tests is there."""
    folder = parent / name
    folder.mkdir()
    url, redis_url = way
    more = {"TORANA_REDIS_URL": redis_url, "TORANA_CONNECT_TIMEOUT": str(CONNECT_SECONDS)}
    spool = folder / "data" / "spool"
    spool.mkdir(mode=0o700, parents=True)
    before: list[str] = []
    if confinement.is_possible():
        resolv_conf = None
        if named:
            resolv_conf = folder / "resolv.conf"
            resolv_conf.write_text(f"nameserver {ADDRESS}\noptions timeout:5 attempts:2\n")
        before = confinement.confined(spool, DISK, resolv_conf=resolv_conf)
        # The logs are on the same disk, which will be full.
        more["TORANA_LOG_DIR"] = str(spool / "logs")
    environment = _environment(folder, url, upstream.url) | more
    with started(name, folder, environment, key, before=before, disk=spool) as gateway:
        yield gateway
