"""Anthropic's messages."""

from __future__ import annotations

from typing import ClassVar

from torana.dialects.anthropic.answers import decode_answer
from torana.dialects.anthropic.costs import prompt_texts, read_costs
from torana.dialects.anthropic.foreign import without_foreign
from torana.dialects.anthropic.reader import MessageReader
from torana.dialects.anthropic.reading import read_call
from torana.dialects.anthropic.replies import read_reply, write_reply
from torana.dialects.anthropic.requests import (
    decode_count,
    decode_request,
    encode_upstream,
    labels_of,
)
from torana.dialects.anthropic.streams import MessageFold
from torana.dialects.anthropic.writer import MessageWriter
from torana.dialects.anthropic.writing import write_call
from torana.dialects.base import ChatDialect, Family
from torana.dialects.wire import WireRequest


class AnthropicMessages(ChatDialect):
    """The dialect of `/messages`."""

    route: ClassVar[str] = "anthropic.messages"
    path: ClassVar[str] = "/messages"
    family: ClassVar[Family] = "anthropic"

    decode_request = staticmethod(decode_request)
    decode_count = staticmethod(decode_count)
    read_costs = staticmethod(read_costs)
    prompt_texts = staticmethod(prompt_texts)
    labels = staticmethod(labels_of)
    decode_answer = staticmethod(decode_answer)
    own = staticmethod(without_foreign)
    read_call = staticmethod(read_call)
    write_call = staticmethod(write_call)
    read_reply = staticmethod(read_reply)
    write_reply = staticmethod(write_reply)
    reader = staticmethod(MessageReader)
    writer = staticmethod(MessageWriter)

    def encode_upstream(
        self,
        request: WireRequest,
        *,
        model: str,
        max_output: int | None = None,
        max_output_field: str | None = None,
    ) -> bytes:
        """See `torana.dialects.anthropic.requests`."""
        del max_output_field  # There is one name only.
        return encode_upstream(request, model=model, max_output=max_output)

    def fold(
        self,
        request: WireRequest,
        *,
        request_id: str,
        model: str | None = None,
        keeps_text: bool = False,
    ) -> MessageFold:
        """See `MessageFold`."""
        del request  # Every stream tells its usage.
        return MessageFold(request_id=request_id, model=model, keeps_text=keeps_text)


ANTHROPIC = AnthropicMessages()
