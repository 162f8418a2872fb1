"""Fixtures of the conformance suite: one fake provider and one Torana for the session."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import pytest

from tests.conformance import gateway
from tests.conformance.callers.base import Caller
from tests.conformance.callers.chat import ChatCaller
from tests.conformance.callers.messages import MessagesCaller
from tests.conformance.callers.responses import ResponsesCaller
from tests.conformance.pairs import UPSTREAMS, Upstream
from tests.conformance.table import CALLERS, Table
from tests.contract.fake_upstream import FakeUpstream, fake_upstream
from tests.support.server import RunningServer

_TABLE = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--table` prints what was found."""
    parser.addoption("--table", action="store_true", help="Print the table of conformance.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the whole table comes last."""
    items.sort(key=lambda item: item.path.name == "test_table.py")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, if that was asked for."""
    # The option is unknown where this file is loaded after the command line was read.
    table = config.stash.get(_TABLE, None)
    if table is None or not config.getoption("--table", default=False):
        return
    terminalreporter.write_sep("=", "conformance")
    newest = [f"{package} {version(package)}" for package in ("openai", "anthropic")]
    terminalreporter.write_line(
        f"{', '.join(newest)}; older lines: {', '.join(sorted(table.older))}"
    )
    for line in table.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """What the tests have found."""
    return pytestconfig.stash.setdefault(_TABLE, Table())


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """All the providers: they differ in the path that is asked."""
    with fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def torana(
    upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """The one server of the session."""
    with gateway.started(tmp_path_factory.mktemp("torana"), upstream.url) as running:
        yield running


@pytest.fixture(scope="session")
def callers(torana: RunningServer) -> Iterator[dict[str, Caller]]:
    """The SDKs, which talk to Torana."""
    made: dict[str, Caller] = {
        found.name: found(torana.url, torana.key)
        for found in (ChatCaller, ResponsesCaller, MessagesCaller)
    }
    yield made
    for caller in made.values():
        caller.close()


@pytest.fixture(params=CALLERS, ids=lambda name: f"{name}-calls")
def caller(request: pytest.FixtureRequest, callers: dict[str, Caller]) -> Caller:
    """Each SDK in turn."""
    return callers[request.param]


@pytest.fixture(params=CALLERS, ids=lambda name: f"{name}-answers")
def target(request: pytest.FixtureRequest) -> Upstream:
    """Each upstream in turn."""
    return UPSTREAMS[request.param]
