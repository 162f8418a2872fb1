"""Being told of a provider's silence, under threads and under gevent, plain and over TLS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.certificates import self_signed
from tests.contract.silences import CHECKS, Caller
from tests.contract.wires import WireServer
from torana.outbound.client import HttpClient
from torana.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
GREENLETS = ["other_greenlets_go_on_while_one_waits"]
KINDS = ["plain", "tls"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate."""
    return self_signed(tmp_path_factory.mktemp("tls")).parent


@pytest.fixture(params=KINDS)
def caller(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Caller]:
    """A client that trusts its server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    made = Caller(HttpClient(), WireServer(folder if request.param == "tls" else None))
    yield made
    made.http.close()
    made.server.stop()


@pytest.mark.parametrize("name", CHECKS)
def test_under_threads(caller: Caller, name: str):
    CHECKS[name](caller)


@pytest.fixture(scope="module")
def under_gevent(folder: Path) -> dict[str, str]:
    """The results of all checks in a process that gevent has patched."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.contract.silences_under_gevent", str(folder)],
        cwd=REPOSITORY,
        env=child_environment(SSL_CERT_FILE=str(folder / "certificate.pem")),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    results: dict[str, str] = json.loads(result.stdout)
    return results


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*CHECKS, *GREENLETS])
def test_under_gevent(under_gevent: dict[str, str], kind: str, name: str):
    assert under_gevent[f"{kind} {name}"] == ""
