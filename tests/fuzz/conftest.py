"""How long fuzzing takes, and the server that is fuzzed.

The short form belongs to `make test`; `make fuzz` runs the long one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psutil
import pytest

from tests.fuzz.caller import Caller
from tests.fuzz.length import Length
from tests.fuzz.upstream import wild_upstream
from tests.support.server import RunningServer, eventually, make_seed, running_server
from torana.admin.allowed_hosts import allow_host
from torana.admin.keys import create_key
from torana.admin.price_terms import make_terms
from torana.admin.providers import PURPOSE, add_provider
from torana.core.clock import utc_now
from torana.db.models import Reservation
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.ledger.terms import BudgetTerms
from torana.secret_box import SecretBox
from torana.settings import load_settings

PROVIDERS = ("openai", "anthropic", "look")
_KEY = "sk-of-the-fuzzed-provider"
_MOST_GROWTH = 250_000_000
"""Bytes: some bodies have 32 MB, an allocator keeps a few of them, and vocabularies are loaded."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fuzz=long` for ten minutes of it."""
    parser.addoption("--fuzz", choices=["short", "long"], default="short")


def pytest_configure(config: pytest.Config) -> None:
    """Settle the form before the tests are imported."""
    # The option is unknown where this file is loaded after the command line was read.
    Length.is_long = config.getoption("--fuzz", "short") == "long"


@dataclass(frozen=True)
class Fuzzed:
    """The server, a caller without a budget, and one with a budget that is never spent."""

    server: RunningServer
    free: Caller
    budgeted: Caller

    def memory(self) -> int:
        """Bytes of its one web process."""
        (pid,) = self.server.worker_pids()
        return int(psutil.Process(pid).memory_info().rss)


@pytest.fixture(scope="session")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """A server with one process; at its end nothing of all that was sent may be left behind."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "seed").mkdir()
    (folder / "server").mkdir()
    seed = make_seed(folder / "seed")
    keys: list[str] = []

    with wild_upstream() as upstream:

        def prepare(database: Database, environment: Mapping[str, str]) -> None:
            _provision(database, environment, upstream.url)
            budget = BudgetTerms(amount_nano=10**17, period="month")
            made = create_key(database, project="default", name="budgeted", budget=budget)
            keys.append(made.key)

        settings = {
            "OPENAI_API_KEY": _KEY,
            "OPENAI_BASE_URL": upstream.url,
            "ANTHROPIC_API_KEY": _KEY,
            "ANTHROPIC_BASE_URL": upstream.url,
            "TORANA_WORKERS": "1",
            "TORANA_RETRY_ATTEMPTS": "1",
            "TORANA_FIRST_BYTE_TIMEOUT": "3",
            "TORANA_IDLE_TIMEOUT": "3",
        }
        with running_server(folder / "server", settings, seed=seed, prepare=prepare) as server:
            address = server.address
            made = Fuzzed(server, Caller(address, server.key), Caller(address, keys[0]))
            workers, memory = server.worker_pids(), made.memory()
            yield made
            assert server.worker_pids() == workers, "the web process has died"
            assert made.memory() - memory < _MOST_GROWTH
            _check_books(made)
            _check_log(server)


def _provision(database: Database, environment: Mapping[str, str], url: str) -> None:
    settings = load_settings(
        data_dir=environment["TORANA_DATA_DIR"], secret_keys=environment["TORANA_SECRET_KEYS"]
    )
    box = SecretBox(settings.secret_keys, PURPOSE)
    allow_host(database, "127.0.0.1")
    add_provider(database, box, name="look", base_url=url, api_key=_KEY)
    terms = make_terms({"input": "0.15", "output": "0.6"})
    with database.write() as session:
        for name in PROVIDERS:
            now = utc_now()
            set_price(session, provider=name, model="*", terms=terms, source="operator", now=now)


def _check_books(made: Fuzzed) -> None:
    """Every call that was admitted is posted, and the balances are what the rows come to."""
    database = Database(made.server.database_url)
    try:

        def nothing_open() -> bool:
            with database.read() as session:
                return session.query(Reservation).count() == 0

        eventually(nothing_open, "the end of all reservations", seconds=15)
    finally:
        database.dispose()
    assert made.server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'


def _check_log(server: RunningServer) -> None:
    """Nothing of ours broke, whatever the callers were told."""
    server.wait_for_log()
    broken = [line for line in server.log() if line["event"].endswith(".broken")]
    assert broken == []
    assert "Traceback" not in server.errors


@pytest.fixture
def steady_memory(fuzzed: Fuzzed) -> Iterator[None]:
    """A test after which the web process is not much larger than before."""
    before = fuzzed.memory()
    yield
    assert fuzzed.memory() - before < _MOST_GROWTH
