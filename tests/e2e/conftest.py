"""Servers for the end-to-end tests: few, because each start takes seconds.

`server` runs a test on SQLite and on PostgreSQL, each with two workers, `echo`, and an OpenAI
upstream that is a fake in the tests' own process. Tests that end, kill or starve a server start
their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream, fake_upstream, refusing_port
from tests.e2e.constants import (
    BODY_LIMIT,
    INPUT_RATE,
    METRICS_TOKEN,
    OTHER_PROJECT,
    OUTPUT_RATE,
    PROVIDER_KEY,
    SDK_SECONDS,
)
from tests.support import databases
from tests.support.server import RunningServer, Seed, make_seed, running_server
from torana.admin.allowed_hosts import allow_host
from torana.admin.price_terms import make_terms
from torana.admin.providers import PURPOSE, add_provider
from torana.admin.tenancy import new_balance
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.core.money import format_usd
from torana.db.models import Organisation, Project
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.secret_box import SecretBox
from torana.settings import load_settings


def provision(database: Database, environment: Mapping[str, str], *, dead_port: int) -> None:
    """What has no command yet: prices, a second project, a provider where nobody listens."""
    settings = load_settings(
        data_dir=environment["TORANA_DATA_DIR"], secret_keys=environment["TORANA_SECRET_KEYS"]
    )
    box = SecretBox(settings.secret_keys, PURPOSE)
    base_url = f"http://127.0.0.1:{dead_port}/v1"
    allow_host(database, "127.0.0.1")
    add_provider(database, box, name="dead", base_url=base_url, api_key=PROVIDER_KEY)
    terms = make_terms({"input": format_usd(INPUT_RATE), "output": format_usd(OUTPUT_RATE)})
    with database.write() as session:
        for provider in ("openai", "anthropic", "dead"):
            set_price(
                session,
                provider=provider,
                model="*",
                terms=terms,
                source="operator",
                now=utc_now(),
            )
        organisation = session.query(Organisation).one()
        project = Project(
            id=new_id("proj"),
            organisation_id=organisation.id,
            name=OTHER_PROJECT,
            created_at=utc_now(),
        )
        session.add(project)
        session.add(new_balance("project", project.id))


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """The provider `openai` of all servers."""
    with fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def dead_port() -> Iterator[int]:
    """A port where nobody listens."""
    with refusing_port() as port:
        yield port


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    """What the SQLite databases begin as."""
    return make_seed(tmp_path_factory.mktemp("seed"))


@pytest.fixture(scope="session")
def settings(upstream: FakeUpstream) -> dict[str, str]:
    """What the servers are started with."""
    return {
        "TORANA_ECHO": "true",
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": PROVIDER_KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "TORANA_WORKERS": "2",
        # The most that is ever logged: even this must hold no secret.
        "TORANA_LOG_LEVEL": "DEBUG",
    }


@pytest.fixture(scope="session")
def main_settings(settings: dict[str, str]) -> dict[str, str]:
    """What `server` is started with: time limits that tests can wait for."""
    return settings | {
        "TORANA_CONNECT_TIMEOUT": "0.5",
        "TORANA_FIRST_BYTE_TIMEOUT": "1.5",
        "TORANA_IDLE_TIMEOUT": "1.5",
        "TORANA_MAX_BODY_BYTES": str(BODY_LIMIT),
        "TORANA_DRAIN_SECONDS": "1.5",
    }


@pytest.fixture(scope="session")
def server_on_sqlite(
    tmp_path_factory: pytest.TempPathFactory,
    main_settings: dict[str, str],
    dead_port: int,
    seed: Seed,
) -> Iterator[RunningServer]:
    """One server for the session."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        provision(database, environment, dead_port=dead_port)

    folder = tmp_path_factory.mktemp("sqlite")
    with running_server(folder, main_settings, seed=seed, prepare=prepare) as running:
        yield running


@pytest.fixture(scope="session")
def server_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory,
    main_settings: dict[str, str],
    dead_port: int,
    postgres_server: str,
) -> Iterator[RunningServer]:
    """One server for the session."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        provision(database, environment, dead_port=dead_port)

    folder = tmp_path_factory.mktemp("postgresql")
    with (
        databases.postgres_url(postgres_server) as url,
        running_server(folder, main_settings, database_url=url, prepare=prepare) as running,
    ):
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> RunningServer:
    """The session's server; the test runs once on each database."""
    running: RunningServer = request.getfixturevalue(f"server_on_{request.param}")
    return running


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `strict_server` looks for Redis; nobody is there until a test starts one."""
    return tmp_path_factory.mktemp("redis") / "redis.sock"


@pytest.fixture(scope="session")
def strict_server(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, str],
    redis_socket: Path,
    dead_port: int,
    seed: Seed,
) -> Iterator[RunningServer]:
    """A server that cancels what nobody waits for, has a metrics token, and misses its Redis."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        provision(database, environment, dead_port=dead_port)

    strict = settings | {
        "TORANA_DISCONNECT_POLICY": "cancel",
        "TORANA_METRICS_TOKEN": METRICS_TOKEN,
        "TORANA_REDIS_URL": f"unix://{redis_socket}",
    }
    folder = tmp_path_factory.mktemp("strict")
    with running_server(folder, strict, seed=seed, prepare=prepare) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    """The SDK as an application uses it, without its own retries."""
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=SDK_SECONDS
    ) as sdk:
        yield sdk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the log of all that was done comes last."""
    items.sort(key=lambda item: item.path.name == "test_zz_logs.py")
