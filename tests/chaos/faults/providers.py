"""The scripted providers as the tests see them: where they are, what they shall play, their journal."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.processes import Program, read_json_line, running
from tests.chaos.upstream import REPOSITORY

_START_SECONDS = 15.0
_CONTROL_SECONDS = 30.0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal: a request that was read, or only a connection that was closed.

    Attributes:
        t: when, on the monotonic clock of the machine.
        fault: what was played.
        tokens: of the prompt and of the answer, as they would be billed.
    """

    t: float
    fault: str
    provider: str = ""
    model: str = ""
    request_id: str = ""
    attempt: int = 0
    key: str = ""
    streamed: bool = False
    tokens: tuple[int, int] = (0, 0)


class Providers:
    """The running process.

    Attributes:
        ports: of its listeners, by name.
    """

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports

    def url(self, listener: str, provider: str) -> str:
        """The base URL of a provider behind a listener."""
        scheme = "https" if listener == "expired" else "http"
        return f"{scheme}://127.0.0.1:{self.ports[listener]}/{provider}/v1"

    def play(self, **scripts: dict[str, Any]) -> None:
        """Tell what happens to the calls of models, see `plays.play`; all others are good."""
        self._command("_play", scripts)

    def take(self) -> list[Heard]:
        """The journal since it was last taken, in the order of time."""
        return msgspec.convert(self._command("_take", {}), list[Heard])

    @property
    def open_calls(self) -> int:
        """How many calls are being answered."""
        return int(self._command("_state", {})["open_calls"])

    def _command(self, name: str, body: object) -> Any:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports["steady"], timeout=_CONTROL_SECONDS
        )
        try:
            connection.request("POST", f"/{name}", json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def started(folder: Path) -> Iterator[Providers]:
    """The providers for the length of a `with` block."""
    certificate, key = _expired(folder)
    program = Program(
        arguments=[
            *(sys.executable, "-m", "tests.chaos.faults.provider_process"),
            *("--certificate", certificate, "--key", key),
        ],
        environment={"PATH": os.defpath},
        folder=REPOSITORY,
        log=folder / "providers.log",
    )
    with running(program, read_output=True) as process:
        yield Providers(read_json_line(process, _START_SECONDS))


def _expired(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself and ended yesterday, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    paths = (folder / "expired.pem", folder / "expired.key")
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
