"""Events written as a chat stream for a caller."""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import (
    Citation,
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Cited,
    Ended,
    Event,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
)
from torana.core.usage import Usage
from torana.dialects import sse
from torana.dialects.base import ReplyFrame, StreamWriter, lost_of
from torana.dialects.openai_chat.finishes import finish_losses, write_finish, write_tier
from torana.dialects.openai_chat.message_writer import ORDER
from torana.dialects.openai_chat.replies import completion_id, knows_functions_only
from torana.dialects.openai_chat.streams import DONE, PING, encode_error_event
from torana.dialects.openai_chat.thoughts import FORMATS, TEXT, write_detail
from torana.dialects.openai_chat.usages import write_usage
from torana.dialects.openai_chat.webs import losses, write_annotation
from torana.errors import ToranaError

_encode = msgspec.json.encode
_FIELDS: dict[type, bytes] = {
    Text: b'{"content":',
    Refusal: b'{"refusal":',
    Thinking: b'{"reasoning_content":',
}


class _Open:
    """A part that grows."""

    __slots__ = ("before", "citations", "grown", "number", "part", "texts")

    def __init__(self, part: Part, number: int, before: int) -> None:
        self.part = part
        self.number = number
        """Of a call among calls, of thinking among thinking."""
        self.before = before
        """Characters of the content before a text."""
        self.grown = 0
        self.texts: list[str] = []
        self.citations: list[Citation] = []


class ChatWriter(StreamWriter):
    """Writes the chunks of one stream.

    Args:
        frame: what is not the provider's to say.
    """

    def __init__(self, frame: ReplyFrame) -> None:
        self._frame = frame
        self._usage_wanted = frame.request.include_usage
        self._legacy = knows_functions_only(frame)
        self._head = b""
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._thoughts = 0
        self._annotations = 0
        self._content_length = 0
        self._rank = 0
        self._refused = False
        self._usage: Usage | None = None
        self._ended: Ended | None = None
        self._lost: list[str] = []
        # With `include_usage` every chunk but the last says that its usage is null.
        self._tail = b',"logprobs":null,"finish_reason":null}]%s}\n\n' % (
            b',"usage":null' if self._usage_wanted else b""
        )
        self._begin(Began("", ""))

    @property
    def lost(self) -> tuple[str, ...]:
        """See `StreamWriter`; the names are those of `replies`."""
        return lost_of(*self._lost)

    def write(self, event: Event) -> bytes:
        """See `StreamWriter`."""
        if isinstance(event, TextGrew):
            return self._grow_text(event)
        if isinstance(event, ArgumentsGrew):
            return self._grow_arguments(event)
        if isinstance(event, PartBegan):
            return self._begin_part(event)
        if isinstance(event, PartEnded):
            return self._end_part(self._open.pop(event.index))
        if isinstance(event, Signed):
            opened = self._open[event.index]
            opened.part = msgspec.structs.replace(
                opened.part, signature=event.signature, vendor=event.vendor
            )
        elif isinstance(event, Cited):
            self._open[event.index].citations.append(event.citation)
        elif isinstance(event, UsageTold):
            self._usage = event.usage
        elif isinstance(event, Ended):
            self._ended = event
            self._lost += finish_losses(event.finish, event.stop_sequence, event.service_tier)
        elif isinstance(event, Began):
            self._begin(event)
            return self._delta({"role": "assistant", "content": None})
        return b""

    def end(self) -> bytes:
        """See `StreamWriter`."""
        frames = []
        if self._ended is not None:
            finish = write_finish(self._ended.finish, refused=self._refused, legacy=self._legacy)
            tier = write_tier(self._ended.service_tier)
            last = b'{},"logprobs":null,"finish_reason":%s}]' % _encode(finish)
            if tier is not None:
                last += b',"service_tier":' + _encode(tier)
            if self._usage_wanted:
                last += b',"usage":null'
            frames.append(self._head + last + b"}\n\n")
            if self._usage_wanted and self._usage is not None:
                frames.append(self._usage_chunk(self._usage))
        frames.append(sse.encode(DONE))
        return b"".join(frames)

    def error(self, error: ToranaError) -> bytes:
        """See `StreamWriter`."""
        return encode_error_event(error)

    def ping(self) -> bytes:
        """See `StreamWriter`."""
        return PING

    # --- frames --------------------------------------------------------------------------------

    def _begin(self, event: Began) -> None:
        self._envelope = {
            "id": completion_id(self._frame),
            "object": "chat.completion.chunk",
            "created": event.created or self._frame.created,
            "model": self._frame.model or event.model,
        }
        envelope = _encode(self._envelope)[:-1]
        self._head = b"data: " + envelope + b',"choices":[{"index":0,"delta":'

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._head + _encode(delta) + self._tail

    def _usage_chunk(self, usage: Usage) -> bytes:
        return sse.encode(_encode(self._envelope | {"choices": [], "usage": write_usage(usage)}))

    # --- parts ---------------------------------------------------------------------------------

    def _begin_part(self, event: PartBegan) -> bytes:
        part = event.part
        rank = ORDER.get(type(part))
        if rank is None:
            self._lost.append("content")
        elif rank < self._rank:
            self._lost.append("part_order")
        else:
            self._rank = rank
        if isinstance(part, ToolCall):
            self._open[event.index] = _Open(part, self._calls, 0)
            self._calls += 1
            return self._call_delta(_call_head(part, self._calls - 1))
        if isinstance(part, (Thinking, HiddenThinking)):
            opened = self._open[event.index] = _Open(part, self._thoughts, 0)
            self._thoughts += 1
            return self._begin_thinking(opened)
        self._open[event.index] = _Open(part, 0, self._content_length)
        if isinstance(part, Refusal):
            self._refused = True
        return b""

    def _begin_thinking(self, opened: _Open) -> bytes:
        part = opened.part
        if isinstance(part, HiddenThinking):
            return self._delta({"reasoning_details": [write_detail(part, opened.number)]})
        if isinstance(part, Thinking) and part.id is not None:
            # A reader must know it from the first; what follows has the same index.
            head = {"index": opened.number, "type": TEXT, "id": part.id}
            return self._delta({"reasoning_details": [head]})
        return b""

    def _grow_text(self, event: TextGrew) -> bytes:
        opened = self._open[event.index]
        kind = type(opened.part)
        if kind is Text:
            opened.grown += len(event.text)
            self._content_length += len(event.text)
        elif kind is Thinking:
            opened.texts.append(event.text)
        return b"".join((self._head, _FIELDS[kind], _encode(event.text), b"}", self._tail))

    def _grow_arguments(self, event: ArgumentsGrew) -> bytes:
        opened = self._open[event.index]
        opened.grown += len(event.text)
        return self._arguments(opened, event.text)

    def _arguments(self, opened: _Open, text: str) -> bytes:
        custom = isinstance(opened.part, ToolCall) and opened.part.custom
        inner = {"custom": {"input": text}} if custom else {"function": {"arguments": text}}
        return self._call_delta({"index": opened.number, **inner})

    def _call_delta(self, call: dict[str, Any]) -> bytes:
        if not self._legacy:
            return self._delta({"tool_calls": [call]})
        if call["index"] or "function" not in call:
            self._lost.append("tool_calls")
            return b""
        return self._delta({"function_call": call["function"]})

    def _end_part(self, opened: _Open) -> bytes:
        part = opened.part
        if isinstance(part, ToolCall):
            empty = not opened.grown and not part.custom
            return self._arguments(opened, "{}") if empty else b""
        if isinstance(part, Thinking):
            return self._end_thinking(part, opened)
        return self._cite(opened) if opened.citations else b""

    def _end_thinking(self, part: Thinking, opened: _Open) -> bytes:
        """The whole of it once more, with what lets it come back in the next turn."""
        detail: dict[str, Any] = {"index": opened.number, "type": TEXT}
        detail["text"] = "".join(opened.texts)
        if part.signature is not None:
            detail["signature"] = part.signature
        detail["format"] = FORMATS[part.vendor]
        return self._delta({"reasoning_details": [detail]})

    def _cite(self, opened: _Open) -> bytes:
        written = []
        for citation in opened.citations:
            if not isinstance(citation, UrlCitation):
                self._lost.append("citations")
                continue
            self._lost += losses(citation)
            annotation = write_annotation(citation, opened.before, opened.grown)
            # The SDK joins lists of several chunks by this index.
            written.append({"index": self._annotations, **annotation})
            self._annotations += 1
        return self._delta({"annotations": written}) if written else b""


def _call_head(call: ToolCall, number: int) -> dict[str, Any]:
    if call.custom:
        inner = {"type": "custom", "custom": {"name": call.name, "input": ""}}
    else:
        inner = {"type": "function", "function": {"name": call.name, "arguments": ""}}
    return {"index": number, "id": call.id, **inner}
