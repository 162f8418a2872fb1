"""What several tests look for: OpenAI's error body, problem details, the events of a stream."""

from __future__ import annotations

import json
from typing import Any

from tests.support.server import Reply

DONE = "[DONE]"


def openai_error(reply: Reply) -> dict[str, Any]:
    """The error object of a failing answer, whose form is checked."""
    assert reply.headers["content-type"].startswith("application/json"), reply
    assert_ids(reply)
    return error_object(reply.json())


def error_object(body: Any) -> dict[str, Any]:
    """The error object of a body: all four keys, and nothing but strings and nulls."""
    assert isinstance(body, dict), body
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str), error
    assert error["message"], error
    assert isinstance(error["type"], str), error
    assert error["param"] is None or isinstance(error["param"], str), error
    assert error["code"] is None or isinstance(error["code"], str), error
    return dict(error)


def problem(reply: Reply) -> dict[str, Any]:
    """The problem details of a failing answer of the management API."""
    assert reply.headers["content-type"] == "application/problem+json", reply
    assert_ids(reply)
    body = reply.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body), body
    assert body["status"] == reply.status
    assert body["request_id"] == reply.request_id
    return dict(body)


def assert_ids(reply: Reply) -> None:
    """Every answer carries its id under both names."""
    assert reply.request_id.startswith("req_")
    assert reply.headers["request-id"] == reply.request_id


def events(body: bytes) -> list[Any]:
    """The events of a stream in their order; the last one may be `[DONE]`."""
    found = []
    for frame in body.decode().split("\n\n"):
        if not frame:
            continue
        name, _, data = frame.partition(": ")
        assert name == "data", frame
        found.append(data if data == DONE else json.loads(data))
    return found


def text_of(chunks: list[Any]) -> str:
    """The answer that the chunks of a stream make."""
    pieces = []
    for piece in chunks:
        if piece == DONE or "error" in piece:
            continue
        pieces += [choice["delta"].get("content") or "" for choice in piece["choices"]]
    return "".join(pieces)


def is_end(event: Any) -> bool:
    """Whether an event says that the answer is complete."""
    if event == DONE:
        return True
    choices = event.get("choices") or []
    return any(choice.get("finish_reason") is not None for choice in choices)
