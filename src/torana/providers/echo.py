"""`echo`: a provider that ships with Torana, for tests, demos and drills.

It is a real HTTP server on loopback inside the process, so that a call to it takes the whole path:
connections, timeouts, streams that are cut. It answers with the last user message, and the model's
name is its script: `echo` just answers, `status=503,until=2` fails until the second try. See
`torana.providers.echo_script` for the words.
"""

from __future__ import annotations

import threading
from typing import ClassVar

import msgspec

from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.outbound.client import Answer, HttpClient
from torana.providers.base import Provider, ProviderConfig, Sending
from torana.providers.check import CheckResult
from torana.providers.echo_server import EchoServer
from torana.providers.openai import CompatibleProvider


class EchoProvider(CompatibleProvider):
    """Starts its server with the first call; the server ends with the process."""

    speaks: ClassVar[tuple[Dialect, ...]] = (OPENAI_CHAT,)

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._delegate: Provider | None = None

    def send(self, http: HttpClient, sending: Sending) -> Answer:
        """See `Provider.send`."""
        return self._started().send(http, sending)

    def check(self, http: HttpClient, *, key_id: str | None = None) -> CheckResult:
        """See `Provider.check`."""
        return self._started().check(http, key_id=key_id)

    def _started(self) -> Provider:
        with self._lock:
            if self._delegate is None:
                server = EchoServer()
                server.start()
                self._delegate = CompatibleProvider(
                    msgspec.structs.replace(self.config, base_url=server.base_url, private=True)
                )
            return self._delegate
