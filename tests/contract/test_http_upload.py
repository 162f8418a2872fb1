"""Requests that are sent in pieces, under threads, plain and over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.certificates import self_signed
from tests.contract.receivers import Receiver
from tests.contract.uploads import CHECKS, Sender
from torana.outbound.client import HttpClient


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate."""
    return self_signed(tmp_path_factory.mktemp("tls")).parent


@pytest.fixture(params=["plain", "tls"])
def send(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sender]:
    """A client that trusts its server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    made = Sender(HttpClient(), Receiver(folder if request.param == "tls" else None))
    yield made
    made.http.close()
    made.server.stop()
    assert not made.server.problems


@pytest.mark.parametrize("name", CHECKS)
def test_under_threads(send: Sender, name: str):
    CHECKS[name](send)
