"""What OpenAI's routes share beside their bodies: error objects and rate-limit headers.

Source: OpenAI's public API reference and the error classes of the openai SDK.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from torana.core.rates import RateView
from torana.dialects.wire import BAD_JSON
from torana.errors import ToranaError


def encode_error(error: ToranaError) -> dict[str, Any]:
    """An error object: all four keys, `param` and `code` strings or null."""
    return {
        "error": {
            "message": error.public_message,
            "type": error.kind,
            "param": error.param,
            "code": error.public_code,
        }
    }


def rate_headers(view: RateView) -> dict[str, str]:
    """What is left of the rate limits, as OpenAI writes it: a reset is a duration (`6m0s`)."""
    headers = {}
    for name, rate in (("requests", view.requests), ("tokens", view.tokens)):
        if rate is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(rate.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(rate.remaining)
            headers[f"x-ratelimit-reset-{name}"] = _duration(rate.reset_seconds)
    return headers


def _duration(seconds: float) -> str:
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    whole, rest = divmod(milliseconds, 1000)
    minutes, whole = divmod(whole, 60)
    tail = f"{whole}.{rest:03d}".rstrip("0").rstrip(".") if rest else str(whole)
    return f"{minutes}m{tail}s" if minutes else f"{tail}s"


class UpstreamErrorBody(msgspec.Struct, frozen=True):
    """What a provider's error body says, as far as it can be read."""

    message: str | None = None
    kind: str | None = None
    param: str | None = None
    code: str | None = None


def decode_error(body: bytes) -> UpstreamErrorBody:
    """Read a provider's error body; anything that can't be read is left out."""
    try:
        parsed = msgspec.json.decode(body)
    except BAD_JSON:
        return UpstreamErrorBody()
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return UpstreamErrorBody(message=error)
    if not isinstance(error, dict):
        return UpstreamErrorBody()
    texts = {key: value for key, value in error.items() if isinstance(value, str)}
    code = error.get("code")
    return UpstreamErrorBody(
        message=texts.get("message"),
        kind=texts.get("type"),
        param=texts.get("param"),
        # Some servers number their codes; ours are strings.
        code=str(code) if isinstance(code, (str, int)) and not isinstance(code, bool) else None,
    )
