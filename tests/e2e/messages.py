"""Calls in Anthropic's dialect, and the form of its errors."""

from __future__ import annotations

from typing import Any

from tests.e2e.constants import PROMPT
from tests.support.server import Reply, RunningServer

ASK = [{"role": "user", "content": PROMPT}]


def messages(server: RunningServer, model: str, **more: Any) -> Reply:
    """Ask for a message, and read it to its end."""
    headers = more.pop("headers", {})
    key = more.pop("key", None)
    body = {"model": model, "max_tokens": 40, "messages": ASK, **more}
    return server.request("POST", "/v1/messages", body, key=key, headers=headers)


def anthropic_error(reply: Reply) -> dict[str, Any]:
    """The error object of a failing answer, whose form is checked."""
    body = reply.json()
    assert (body["type"], body["request_id"]) == ("error", reply.request_id)
    assert set(body) == {"type", "error", "request_id"}
    error: dict[str, Any] = body["error"]
    assert error["message"]
    return error
