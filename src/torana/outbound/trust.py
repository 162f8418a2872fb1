"""Whose certificates a provider may have: those that this machine's administrator trusts."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path

CANDIDATES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where distributions keep what they trust, in one file."""
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""How a certificate is named in a folder that OpenSSL looks into."""


def system_trust(candidates: Iterable[str] = CANDIDATES) -> ssl.SSLContext:
    """A context of TLS that trusts what the machine trusts.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` come first. A Python that was built elsewhere looks where
    this machine has nothing; then the first of `candidates` is taken that is there.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    defaults = ssl.get_default_verify_paths()
    if defaults.cafile or (defaults.capath and _has_certificates(Path(defaults.capath))):
        context.set_default_verify_paths()
        return context
    for candidate in candidates:
        if Path(candidate).is_file():
            context.load_verify_locations(cafile=candidate)
            break
    return context


def _has_certificates(folder: Path) -> bool:
    return any(_HASHED.fullmatch(file.name) for file in folder.iterdir())
