"""What every test of chaos starts from, how long they take, and the printing of their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import gateway, restartable_postgres, upstream
from tests.chaos.gateway import Installation
from tests.chaos.restartable_postgres import Server
from tests.chaos.upstream import Upstream

Print = Callable[[str, dict[str, object]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--chaos=long` for the runs that take minutes."""
    parser.addoption("--chaos", choices=["short", "long"], default="short")


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form is wanted."""
    # The option is unknown where this file is loaded after the command line was read.
    return bool(request.config.getoption("--chaos", "short") == "long")


@pytest.fixture(scope="session")
def chaos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the database's account can get to."""
    folder = tmp_path_factory.mktemp("chaos")
    for parent in (folder, *folder.parents):
        if parent.name.startswith("pytest-"):
            parent.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def server(chaos_folder: Path) -> Iterator[Server]:
    """A PostgreSQL server that may be crashed, with the seed of all databases."""
    with restartable_postgres.started(chaos_folder) as running:
        gateway.make_seed(running, chaos_folder)
        yield running


@pytest.fixture(scope="session")
def simulator(chaos_folder: Path) -> Iterator[Upstream]:
    """The upstream simulator."""
    with upstream.started(chaos_folder) as running:
        yield running


@pytest.fixture
def installation(server: Server, simulator: Upstream, tmp_path: Path) -> Iterator[Installation]:
    """An empty installation of its own."""
    with gateway.installed(server, simulator, tmp_path) as made:
        yield made


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Print:
    """Prints a table of figures, whether output is captured or not."""
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    reporter: Any = request.config.pluginmanager.getplugin("terminalreporter")

    def show(title: str, rows: dict[str, object]) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line("")
            reporter.write_line(f"chaos: {title}")
            for name, value in rows.items():
                text = f"{value:,}" if isinstance(value, int) else str(value)
                reporter.write_line(f"  {name:<28} {text}")

    return show
