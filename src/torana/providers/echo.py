"""`echo`: a provider that ships with Torana, for tests, demos and drills.

It is a real HTTP server on loopback inside the process, so that a call to it takes the whole path:
connections, timeouts, streams that are cut. It answers with the last user message, and the model's
name is its script: `echo` just answers, `status=503,until=2` fails until the second try. See
`torana.providers.echo_script` for the words.
"""

from __future__ import annotations

import threading

from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts
from torana.providers.base import Provider, ProviderConfig
from torana.providers.echo_server import EchoServer
from torana.providers.openai import OpenAIProvider


class EchoProvider(Provider):
    """Starts its server with the first call; the server ends with the process."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._delegate: OpenAIProvider | None = None

    def send_chat(
        self,
        http: HttpClient,
        body: bytes,
        *,
        request_id: str,
        attempt: int,
        timeouts: Timeouts,
        exchange: Exchange,
    ) -> Answer:
        """Send a chat completion; see `Provider.send_chat`."""
        return self._started().send_chat(
            http,
            body,
            request_id=request_id,
            attempt=attempt,
            timeouts=timeouts,
            exchange=exchange,
        )

    def _started(self) -> OpenAIProvider:
        with self._lock:
            if self._delegate is None:
                server = EchoServer()
                server.start()
                self._delegate = OpenAIProvider(
                    ProviderConfig(
                        name=self.config.name,
                        kind=self.config.kind,
                        base_url=server.base_url,
                        rewrites_model=self.config.rewrites_model,
                    )
                )
            return self._delegate
