"""What Anthropic's routes share beside their bodies: error objects and rate-limit headers.

Source: Anthropic's public API reference, and the error classes and retry rules of its SDK, which
tries again on 408, 409, 429 and from 500 on, unless `x-should-retry` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.rates import RateView
from torana.dialects import openai_errors
from torana.dialects.openai_errors import UpstreamErrorBody
from torana.dialects.wire import encode_fields
from torana.errors import BudgetExceeded, ToranaError, UpstreamOverloaded

OVERLOADED = 529
"""Anthropic's own status. A provider that is overloaded is told so; what is wrong here is a 503."""

_TYPES: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        OVERLOADED: "overloaded_error",
    }
)


def status_of(error: ToranaError) -> int:
    """The HTTP status that Anthropic's API has for an error."""
    if isinstance(error, BudgetExceeded):
        return 402  # Anthropic tells an empty account from a limit that comes back by itself.
    if isinstance(error, UpstreamOverloaded):
        return OVERLOADED
    return error.status


def encode_error(error: ToranaError, request_id: str) -> dict[str, Any]:
    """An error object.

    Our code stands where Anthropic's own codes do: SDKs read `error.details.error_code`.
    """
    details = {"error_code": error.public_code}
    if error.param is not None:
        details["param"] = error.param
    return {
        "type": "error",
        "error": {
            "type": _type_of(status_of(error)),
            "message": error.public_message,
            "details": details,
        },
        "request_id": request_id,
    }


def _type_of(status: int) -> str:
    return _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def encode_error_event(error: ToranaError, request_id: str) -> bytes:
    """The frame of an error in mid-stream."""
    return frame(b"error", encode_fields(encode_error(error, request_id)))


def frame(event: bytes, data: bytes) -> bytes:
    """A frame of a stream: Anthropic's SDKs drop those without an `event` line.

    Args:
        event: its name.
        data: JSON in one line.
    """
    return b"event: %b\ndata: %b\n\n" % (event, data)


def rate_headers(view: RateView, now: datetime) -> dict[str, str]:
    """What is left of the rate limits, as Anthropic writes it: a reset is an instant.

    Args:
        view: what is left.
        now: aware; resets count from it.
    """
    headers = {}
    for name, rate in (("requests", view.requests), ("tokens", view.tokens)):
        if rate is not None:
            headers[f"anthropic-ratelimit-{name}-limit"] = str(rate.limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(rate.remaining)
            headers[f"anthropic-ratelimit-{name}-reset"] = _instant(now, rate.reset_seconds)
    return headers


def _instant(now: datetime, seconds: float) -> str:
    """RFC 3339 in whole seconds, never too early."""
    reset = math.ceil((now + timedelta(seconds=seconds)).timestamp())
    return datetime.fromtimestamp(reset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    details: _Details | None = None


class _Body(msgspec.Struct):
    error: _Error | None = None


def decode_error(body: bytes) -> UpstreamErrorBody:
    """Read a provider's error body; anything that can't be read is left out."""
    found = openai_errors.decode_error(body)
    try:
        said = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return found
    if said.error is None or said.error.details is None:
        return found
    return msgspec.structs.replace(found, code=said.error.details.error_code or found.code)
