"""How the contract tests call: limits that tests can wait for, and bodies of chat completions."""

from __future__ import annotations

import json
import time
from typing import Any

from torana.dialects.openai_chat import OPENAI_CHAT
from torana.outbound.client import Answer, Body, Exchange, HttpClient, Timeouts
from torana.providers import Provider, Sending

PATIENT = Timeouts(connect=10, first_byte=10, idle=10)
HASTY = Timeouts(connect=1, first_byte=0.3, idle=0.3)
"""For tests that make the server silent."""
LIMIT = 1024 * 1024


def exchange(seconds: float = 20.0) -> Exchange:
    """A call that must be over in so many seconds."""
    return Exchange(time.monotonic() + seconds)


def chat_body(model: str = "echo", text: str = "hello there", **more: Any) -> bytes:
    """A request for a chat completion."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return json.dumps(body).encode()


def post(
    http: HttpClient,
    url: str,
    body: bytes | Body = b"{}",
    *,
    timeouts: Timeouts = PATIENT,
    over: Exchange | None = None,
    private: bool = True,
) -> Answer:
    """Send a request."""
    return http.post(
        url,
        body=body,
        headers={"content-type": "application/json"},
        timeouts=timeouts,
        exchange=over or exchange(),
        private=private,
    )


def send(
    provider: Provider,
    http: HttpClient,
    body: bytes,
    *,
    timeouts: Timeouts = PATIENT,
    attempt: int = 1,
    over: Exchange | None = None,
) -> Answer:
    """Send a chat completion to a provider."""
    return provider.send(
        http,
        Sending(
            path=OPENAI_CHAT.path,
            body=body,
            request_id="req_of_a_test",
            attempt=attempt,
            timeouts=timeouts,
            exchange=over or exchange(),
        ),
    )
