"""Which dialect the present request is answered in, where its body does not say."""

from __future__ import annotations

from flask import request

from torana.dialects.base import Family

_ANTHROPIC_PATHS = ("/v1/messages", "/v1/complete")
_OPENAI_PATHS = (
    *("/v1/chat", "/v1/completions", "/v1/responses", "/v1/embeddings"),
    *("/v1/images", "/v1/audio", "/v1/moderations", "/v1/rerank"),
)
"""Callers of these read OpenAI's errors, whatever headers they send."""


def caller_family() -> Family:
    """Whose shapes errors and lists have.

    By the path, and where both APIs share it, by the header that only Anthropic's SDKs send.
    """
    if _is_under(_ANTHROPIC_PATHS):
        return "anthropic"
    if _is_under(_OPENAI_PATHS):
        return "openai"
    return "anthropic" if "anthropic-version" in request.headers else "openai"


def _is_under(starts: tuple[str, ...]) -> bool:
    path = request.path
    return any(path == start or path.startswith(f"{start}/") for start in starts)
