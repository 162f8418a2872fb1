"""A provider made by each preset, and the server that it is for."""

from __future__ import annotations

import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.contract.presets.adding import added
from tests.contract.presets.manners import Server
from tests.contract.presets.servers import SERVERS
from torana.providers import Provider
from torana.providers.presets import PRESETS


@pytest.fixture(params=sorted(PRESETS))
def name(request: pytest.FixtureRequest) -> str:
    """The name of a preset."""
    return str(request.param)


@pytest.fixture
def server(name: str) -> Server:
    """The server that it is for."""
    return SERVERS[name]


@pytest.fixture
def provider(name: str, server: Server, upstream: FakeUpstream) -> Provider:
    """A provider that was added by it."""
    upstream.model(server.play, exactly=server.model)
    return added(name, upstream)
