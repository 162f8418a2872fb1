"""One Torana for all programs, with providers that are the same fake: one speaks OpenAI's
dialects, one Anthropic's, and one, a look-alike, only OpenAI's chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.contract.fake_upstream import FakeUpstream, fake_upstream
from tests.programs.scene import CHAT_ALONE, PROVIDERS, Scene, provision
from tests.support.server import RunningServer, running_server
from torana.db.session import Database


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """All providers."""
    with fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[RunningServer]:
    """One server for the session."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        provision(database, environment, upstream)

    settings = {
        "TORANA_ECHO": "true",
        "OPENAI_API_KEY": "sk-openai",
        "OPENAI_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": "sk-ant",
        "ANTHROPIC_BASE_URL": upstream.url.removesuffix("/v1"),
    }
    folder = tmp_path_factory.mktemp("programs")
    with running_server(folder, settings, prepare=prepare) as running:
        yield running
        # Whatever a program sends, nothing of ours may break.
        assert not [line for line in running.log() if line["level"] == "ERROR"]


@pytest.fixture(params=PROVIDERS)
def scene(
    request: pytest.FixtureRequest, server: RunningServer, upstream: FakeUpstream, tmp_path: Path
) -> Scene:
    """The server and one of its providers; the test runs once with each."""
    return Scene(server, upstream, request.param, tmp_path)


@pytest.fixture
def chat_alone(server: RunningServer, upstream: FakeUpstream, tmp_path: Path) -> Scene:
    """The server and the look-alike."""
    return Scene(server, upstream, CHAT_ALONE, tmp_path)
