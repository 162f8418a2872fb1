"""Servers at addresses of loopback, and names that lead to them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from torana.outbound.resolver import SocketAddress

NAME = "provider.test"
PUBLIC, SECOND, PRIVATE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Three addresses of loopback, of which `permits` takes the last for a private one."""


def permits(address: str) -> bool:
    """The guard's judgement, moved to loopback, where tests may connect to."""
    return address in {PUBLIC, SECOND}


@dataclass
class Names:
    """A resolver that a test scripts: what each lookup finds, the last of them from then on."""

    found: Sequence[Sequence[str] | OSError]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> Sequence[SocketAddress]:
        answer = self.found[min(len(self.asked), len(self.found) - 1)]
        self.asked.append(host)
        if isinstance(answer, OSError):
            raise answer
        return [(one, port, 0, 0) if ":" in one else (one, port) for one in answer]


class Host(ThreadingHTTPServer):
    """A server that answers each request with the number of its connection.

    `/elsewhere` is a redirect, and `/last` is a connection's last answer.

    Args:
        address: of loopback.
        port: 0 takes any.
        certificate: with its key beside it, for TLS.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str, port: int = 0, certificate: Path | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.connections = 0
        self.headers: list[Mapping[str, str]] = []
        self.server_names: list[str | None] = []
        super().__init__((address, port), _Handler)
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.parent / "key.pem")
            context.sni_callback = lambda _, name, __: self.server_names.append(name)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, host: str, path: str = "/v1") -> str:
        """A URL that asks it under any name."""
        return f"{self.scheme}://{host}:{self.server_address[1]}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Host

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.number = self.server.connections

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        body = str(self.number).encode()
        self.send_response(302 if self.path == "/elsewhere" else 200)
        if self.path == "/elsewhere":
            self.send_header("location", f"http://{PRIVATE}:{self.server.server_address[1]}/")
        if self.path == "/last":
            self.send_header("connection", "close")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


@contextmanager
def serving(address: str, port: int = 0, certificate: Path | None = None) -> Iterator[Host]:
    """A running server."""
    host = Host(address, port, certificate)
    threading.Thread(target=host.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield host
    finally:
        host.shutdown()
        host.server_close()


@contextmanager
def refusing(address: str, port: int) -> Iterator[int]:
    """An address whose port is taken and accepts nobody; 0 takes any."""
    with socket.socket() as taken:
        taken.bind((address, port))
        yield int(taken.getsockname()[1])
