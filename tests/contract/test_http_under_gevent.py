"""Finding hosts, connecting to them and sending in pieces, in a process that gevent has patched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import resolving, uploads
from tests.contract.certificates import self_signed
from torana.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
RESOLVING = [*resolving.CHECKS, "a_handshake_that_drips_is_limited_as_a_whole"]
UPLOADS = [*uploads.CHECKS, "other_greenlets_go_on_during_an_upload"]
NAMES = [f"resolving {name}" for name in RESOLVING]
NAMES += [f"{kind} {name}" for kind in ("plain", "tls") for name in UPLOADS]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each check ended."""
    folder = self_signed(tmp_path_factory.mktemp("tls")).parent
    result = subprocess.run(
        [sys.executable, "-m", "tests.contract.outbound_under_gevent", str(folder)],
        cwd=REPOSITORY,
        env=child_environment(SSL_CERT_FILE=str(folder / "certificate.pem")),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_under_gevent(results: dict[str, str], name: str):
    assert results[name] == ""


def test_every_check_has_a_test(results: dict[str, str]):
    assert sorted(results) == sorted(NAMES)
