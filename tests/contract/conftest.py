"""Real servers for the contract tests, in the tests' own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.fake_upstream import FakeUpstream, fake_upstream, refusing_port
from torana.outbound.client import HttpClient
from torana.providers.echo_server import EchoServer


@pytest.fixture(scope="session")
def echo_url() -> Iterator[str]:
    """The base URL of a server that plays the scripts of `echo`."""
    server = EchoServer()
    server.start()
    yield server.base_url
    server.stop()


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    """A server that does what a test tells it."""
    with fake_upstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def dead_url() -> Iterator[str]:
    """A base URL where nobody listens."""
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def http() -> Iterator[HttpClient]:
    """A client with connections of its own."""
    client = HttpClient()
    yield client
    client.close()
