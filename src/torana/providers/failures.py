"""What a provider's failing status means: an error for the caller, in words that are fit for it.

Bodies of errors come in many forms. The dialects know OpenAI's and Anthropic's; the forms of
look-alikes are here. What can't be read is left out: the status alone says enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from torana.dialects.anthropic_errors import decode_error
from torana.dialects.openai_errors import UpstreamErrorBody
from torana.dialects.wire import BAD_JSON
from torana.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.outbound.client import Answer
from torana.providers.patience import cooldown

_ERROR_BODY_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 2000
_OVERLOADED = 529
"""Anthropic's status for "overloaded"; some proxies in front of other providers use it too."""
_COMPLAINTS = 5
"""Most complaints of a list that are passed on."""


def raise_for_status(answer: Answer, *, name: str, secrets: Iterable[str], now: datetime) -> None:
    """Turn a failing status into an error for the caller.

    The provider's words are passed on only where the request is at fault. Its complaints about our
    credentials or limits name accounts and keys, which are not the caller's business.

    Args:
        answer: its body is read only if it is an error.
        name: of the provider.
        secrets: what must not be passed on if the provider repeats it.
        now: aware.

    Raises:
        UpstreamError: the status is not 2xx.
    """
    if 200 <= answer.status < 300:
        return
    try:
        data = answer.read(_ERROR_BODY_LIMIT)
    except UpstreamError:
        data = b""  # What is left of the body is not waited for.
    for secret in secrets:
        data = data.replace(secret.encode(), b"***")
    error = _error_of(answer.status, read_error(data), name)
    error.retry_after = _retry_after(answer.headers)
    if isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
        error.cooldown = cooldown(answer.headers, now, data)
    wish = answer.headers.get("x-should-retry")
    if wish in {"true", "false"}:
        error.retryable = wish == "true"
    raise error


def _error_of(status: int, body: UpstreamErrorBody, name: str) -> UpstreamError:
    if status in {401, 403}:
        return UpstreamAuth(
            f"The provider {name!r} refused Torana's credentials.",
            hint="The administrator must check its API key.",
        )
    if status == 429:
        return UpstreamRateLimited(f"The provider {name!r} has reached its rate limit.")
    if status in {503, _OVERLOADED}:
        return UpstreamOverloaded(f"The provider {name!r} is overloaded.")
    if 400 <= status < 500 and status != 408:
        message = body.message[:_MESSAGE_LIMIT] if body.message is not None else None
        return UpstreamRejected(
            message or f"The provider {name!r} refused the request.",
            status=status,
            kind=body.kind,
            provider_code=body.code,
            param=body.param,
        )
    return UpstreamError(f"The provider {name!r} failed with status {status}.")


def read_error(data: bytes) -> UpstreamErrorBody:
    """What a provider's error body says, in whatever form; what can't be read is left out."""
    body = decode_error(data)
    try:
        parsed = msgspec.json.decode(data)
    except BAD_JSON:
        return body
    if isinstance(parsed, list) and parsed:
        # Google's, where a stream was asked for.
        return decode_error(msgspec.json.encode(parsed[0]))
    if not isinstance(parsed, dict):
        return body
    if body.message is None:
        return _flat(parsed)
    if body.code is None and isinstance(parsed.get("error"), str):
        # xAI's: a text with its code beside it.
        return msgspec.structs.replace(body, code=_code(parsed))
    return body


def _flat(parsed: Mapping[str, Any]) -> UpstreamErrorBody:
    """An error without an object around it: vLLM's, Mistral's, FastAPI's."""
    message = None
    for place in ("message", "detail", "error", "msg"):
        message = message or _words(parsed.get(place))
    kind, param = parsed.get("type"), parsed.get("param")
    return UpstreamErrorBody(
        message=message,
        kind=kind if isinstance(kind, str) else None,
        param=param if isinstance(param, str) else None,
        code=_code(parsed),
    )


def _words(said: Any) -> str | None:
    """A text, or the complaints of a list as pydantic makes it, each with its place."""
    if isinstance(said, str):
        return said or None
    if isinstance(said, dict):
        return _words(said.get("detail")) or _words(said.get("message"))
    if not isinstance(said, list):
        return None
    complaints = [
        f"{'.'.join(map(str, place))}: {item['msg']}"
        if isinstance(place := item.get("loc"), list)
        else str(item["msg"])
        for item in said[:_COMPLAINTS]
        if isinstance(item, dict) and isinstance(item.get("msg"), str)
    ]
    return "; ".join(complaints) or None


def _code(parsed: Mapping[str, Any]) -> str | None:
    code = parsed.get("code")
    return str(code) if isinstance(code, str | int) and not isinstance(code, bool) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; a date counts as no answer."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
