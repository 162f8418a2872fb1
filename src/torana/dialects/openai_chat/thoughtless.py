"""A history without thinking, for OpenAI's own chat, which takes none.

A caller who has talked to a model that shows its thinking repeats it with the assistant's messages.
Look-alikes want it back; OpenAI refuses messages with members that it does not know.
"""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.wire import BAD_JSON, WireRequest

_THOUGHTS = ("reasoning_content", "reasoning_details", "reasoning")
_HINT = b'"reasoning'
_messages_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def without_thinking(request: WireRequest) -> tuple[WireRequest, tuple[str, ...]]:
    """A request whose messages hold no thinking.

    Returns:
        The request, the same object where there is none, and `("thinking",)` when there was some.
    """
    messages = request.fields["messages"]
    if _HINT not in bytes(messages):
        return request, ()
    try:
        found = _messages_decoder.decode(messages)
    except BAD_JSON:
        return request, ()  # The provider says best what is wrong with them.
    taken = [message.pop(name, None) for message in found for name in _THOUGHTS if name in message]
    if not taken:
        return request, ()
    fields = request.fields | {"messages": wire.raw(found)}
    return msgspec.structs.replace(request, fields=fields), ("thinking",)
