"""Providers that speak OpenAI's API: OpenAI, look-alikes at any base URL, the local model."""

from __future__ import annotations

from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts
from torana.providers.base import Provider, ProviderConfig, raise_for_status


class OpenAIProvider(Provider):
    """A server with `/chat/completions` under its base URL."""

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        self._chat_url = f"{config.base_url.rstrip('/')}/chat/completions"
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            # Compressed events would have to wait for each other.
            "accept-encoding": "identity",
            "user-agent": "torana",
        }
        if not config.keeps_alive:
            self._headers["connection"] = "close"
        if config.api_key:
            self._headers["authorization"] = f"Bearer {config.api_key}"

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
        answer = http.post(
            self._chat_url,
            body=body,
            headers={
                **self._headers,
                "x-request-id": request_id,
                "x-torana-attempt": str(attempt),
            },
            timeouts=timeouts,
            exchange=exchange,
        )
        raise_for_status(answer, self.config)
        return answer
