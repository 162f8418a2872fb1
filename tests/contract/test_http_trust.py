"""Whom the HTTP client trusts: what the environment says, what OpenSSL finds, what a machine has."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.contract.certificates import self_signed
from torana.outbound.trust import CANDIDATES, system_trust


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that somebody may trust."""
    return self_signed(tmp_path)


def trusted(context: ssl.SSLContext) -> int:
    """How many certificates a context has read."""
    return context.cert_store_stats()["x509"]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An OpenSSL that looks where this machine has nothing."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(empty))


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, certificate: Path):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = system_trust(["/nowhere"])
    assert trusted(context) == 1


def test_a_machine_whose_openssl_finds_nothing_has_a_file_elsewhere(
    nowhere: None, certificate: Path
):
    assert trusted(system_trust(["/nowhere", str(certificate), "/never/read"])) == 1


def test_a_folder_that_openssl_can_read_is_enough(nowhere: None, certificate: Path, tmp_path: Path):
    (tmp_path / "empty" / "0a1b2c3d.0").write_bytes(certificate.read_bytes())
    # OpenSSL reads such a folder when it is asked about a certificate, and not before.
    assert trusted(system_trust([str(certificate)])) == 0


def test_where_nothing_is_trusted_nobody_is(nowhere: None):
    context = system_trust(["/nowhere"])
    assert trusted(context) == 0
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_places_are_absolute():
    assert all(Path(candidate).is_absolute() for candidate in CANDIDATES)
