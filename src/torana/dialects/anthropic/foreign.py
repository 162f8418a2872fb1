"""Thinking of other vendors in the history of a caller who changes from one model to another.

A caller of this dialect who has talked to a model of another vendor repeats its thinking, with the
signature in an envelope or empty. Anthropic refuses a whole request for one such block, so they are
left out of what is sent there; everything else passes as it came.
"""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.signatures import unpack
from torana.dialects.wire import ABSENT, BAD_JSON, WireRequest

_HINTS = (b'"torana.', b'"signature":""', b'"signature": ""')
"""One of them is in every such block; nearly no request has any."""
_messages_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_blocks_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class _Thought(msgspec.Struct):
    type: str
    signature: str = ""
    data: str = ""


_thought_decoder = msgspec.json.Decoder(_Thought)


def without_foreign(request: WireRequest) -> tuple[WireRequest, tuple[str, ...]]:
    """A request without thinking that Anthropic has not signed.

    Returns:
        The request, the same object where there is none, and `("thinking",)` when there was some.
    """
    messages = request.fields["messages"]
    own = _without_foreign(messages)
    if own is messages:
        return request, ()
    fields = request.fields | {"messages": own}
    return msgspec.structs.replace(request, fields=fields), ("thinking",)


def _without_foreign(messages: msgspec.Raw) -> msgspec.Raw:
    written = bytes(messages)
    if not any(hint in written for hint in _HINTS):
        return messages
    try:
        found = _messages_decoder.decode(messages)
    except BAD_JSON:
        return messages
    kept = []
    changed = False
    for message in found:
        blocks = _blocks_of(message)
        own = [block for block in blocks if not _is_foreign(block)]
        if len(own) < len(blocks):
            changed = True
            message["content"] = wire.raw(own)
        if own or not blocks:
            kept.append(message)
    return wire.raw(kept) if changed else messages


def _blocks_of(message: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    try:
        return _blocks_decoder.decode(message.get("content", ABSENT))
    except BAD_JSON:
        return []  # A text.


def _is_foreign(block: msgspec.Raw) -> bool:
    try:
        thought = _thought_decoder.decode(block)
    except BAD_JSON:
        return False
    if thought.type == "thinking":
        return not thought.signature or unpack(thought.signature) is not None
    return thought.type == "redacted_thinking" and unpack(thought.data) is not None
