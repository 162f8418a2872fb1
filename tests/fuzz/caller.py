"""A caller that waits ten seconds and no longer, and a judge of what it gets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fuzz.answers import ENDS_WITH_DONE
from tests.support.server import Reply
from torana.dialects.sse import FrameSplitter, data_of

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
TIMEOUT_SECONDS = 10.0
PROVIDER_STATUSES = {502, 503, 504, 529}
"""What a caller is told when a provider, and not Torana, has failed."""
_PIECE = 65_536


@dataclass(frozen=True)
class Caller:
    """Calls one server with one key."""

    address: tuple[str, int]
    key: str

    def post(self, route: str, body: bytes, *, chunked: bool = False, **headers: str) -> Reply:
        """Send a body; the answer is whole, or this fails.

        Raises:
            OSError, http.client.HTTPException: there was no whole answer in time.
        """
        sent = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_SECONDS)
        try:
            data: bytes | Iterator[bytes] = _pieces(body) if chunked else body
            connection.request("POST", PATHS[route], data, sent, encode_chunked=chunked)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=named, body=response.read())
        finally:
            connection.close()


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def error_of(route: str, reply: Reply) -> dict[str, Any]:
    """The error of a refusal, in the form of its route; `param` is always there."""
    assert reply.headers["content-type"].startswith("application/json"), reply
    body = reply.json()
    error: dict[str, Any] = body["error"]
    assert isinstance(error["message"], str), error
    assert error["message"], error
    assert isinstance(error["type"], str), error
    if route in {"messages", "count_tokens"}:
        assert body["type"] == "error", body
        assert body["request_id"] == reply.headers["request-id"], body
        param = (error.get("details") or {}).get("param")
    else:
        assert set(error) == {"message", "type", "param", "code"}, error
        assert error["code"] is None or isinstance(error["code"], str), error
        param = error["param"]
    assert param is None or isinstance(param, str), error
    return error | {"param": param}


def judge(route: str, reply: Reply, *, sane: bool) -> None:
    """Whether an answer may be given.

    Args:
        route: that was called.
        reply: the answer.
        sane: the provider answers well, so nothing but the request can be at fault.
    """
    allowed = set() if sane else PROVIDER_STATUSES
    assert reply.status == 200 or 400 <= reply.status < 500 or reply.status in allowed, reply
    if reply.status != 200:
        error_of(route, reply)
    elif reply.headers["content-type"].startswith("text/event-stream"):
        judge_stream(route, reply.body, sane=sane)
    else:
        assert isinstance(reply.json(), dict), reply


def judge_stream(route: str, body: bytes, *, sane: bool) -> None:
    """A stream ends with an end or an error, and never with both."""
    splitter = FrameSplitter(limit=len(body) + 1)
    events = [data for each in splitter.feed(body) if (data := data_of(each))]
    assert splitter.rest.strip() == b"", body[-500:]
    assert events, body
    ends = [number for number, data in enumerate(events) if _is_end(route, data)]
    errors = [number for number, data in enumerate(events) if _is_error(route, data)]
    assert len(ends) + len(errors) >= 1, body[-500:]
    assert not (ends and errors), body[-500:]
    assert (ends or errors)[-1] == len(events) - 1, body[-500:]
    assert not (sane and errors), body[-500:]


def _is_end(route: str, data: bytes) -> bool:
    if route in ENDS_WITH_DONE:
        return data == b"[DONE]"
    kind = _object(data).get("type")
    if route == "messages":
        return kind == "message_stop"
    return kind in {"response.completed", "response.incomplete", "response.failed"}


def _is_error(route: str, data: bytes) -> bool:
    told = _object(data)
    if route in ENDS_WITH_DONE:
        return told.get("error") is not None
    return told.get("type") == "error"


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
