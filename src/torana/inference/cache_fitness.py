"""Which calls have answers that may be kept: those that are all in the request. Pure.

A call that goes on from what somebody keeps, or that leaves something behind, is made each time.
"""

from __future__ import annotations

import msgspec

from torana.dialects.base import Dialect
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.requests import is_stored
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.inference.caller import CallContext

_ABSENT = {b"null", b"false"}
_STATE = ("previous_response_id", "conversation", "background", "container", "mcp_servers")
"""Fields that name what lies outside the request, or let the call act there."""
_ACTING_TOOLS = frozenset({"mcp", "mcp_toolset", "code_interpreter", "shell"})
"""Tools of a provider that act elsewhere, or that keep files between calls."""
_REFERENCES = frozenset({"item_reference"})


class _Typed(msgspec.Struct):
    type: str | None = None


_typed_decoder = msgspec.json.Decoder(str | list[_Typed] | None)


def may_be_kept(
    request: WireRequest, context: CallContext, *, dialect: Dialect, continued: bool = False
) -> bool:
    """Whether the answer of a call may be kept for others, and may be one that was kept.

    Args:
        request: as its caller sent it.
        context: of it.
        dialect: the caller's.
        continued: it goes on from a conversation that Torana or a provider keeps.
    """
    if context.idempotency_key is not None or continued:
        return False  # Such a key names one call and its answer, and has a store of its own.
    if any(_is_given(request, name) for name in _STATE):
        return False
    if _may_have(request, "tools", _ACTING_TOOLS):
        return False
    if dialect is OPENAI_RESPONSES:
        template = _is_given(request, "prompt")  # The provider keeps it, and it may change there.
        return not (is_stored(request) or template or _may_have(request, "input", _REFERENCES))
    return not _is_given(request, "store")


def _is_given(request: WireRequest, name: str) -> bool:
    return bytes(request.fields.get(name, b"null")) not in _ABSENT


def _may_have(request: WireRequest, name: str, types: frozenset[str]) -> bool:
    """Whether a list has items of one of these types, or can't be read."""
    try:
        items = _typed_decoder.decode(request.fields.get(name, b"null"))
    except BAD_JSON:
        return True
    return isinstance(items, list) and any(item.type in types for item in items)
