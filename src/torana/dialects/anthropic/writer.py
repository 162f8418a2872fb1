"""Events as a stream for a caller."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from torana.core.chat import (
    Finish,
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
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
)
from torana.core.usage import Usage
from torana.dialects.anthropic.blocks import (
    citation_block,
    fit_id,
    fit_name,
    hidden_block,
    input_of,
    signature_of,
)
from torana.dialects.anthropic.replies import (
    message_of,
    note_unsayable,
    reason_of,
    usage_object,
)
from torana.dialects.anthropic.streams import PING, STOP
from torana.dialects.anthropic_errors import encode_error_event, frame
from torana.dialects.base import ReplyFrame, StreamWriter
from torana.dialects.losses import Losses
from torana.errors import ToranaError

_encoder = msgspec.json.Encoder()
_NOTHING = Usage()
_DELTA = frame(
    b"content_block_delta",
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}',
)
"""By far the most of all frames; every kind of delta has one member."""
_Change = TextGrew | ArgumentsGrew | Signed | Cited
_PartEvent = PartBegan | _Change | PartEnded


def _event(kind: str, **members: Any) -> bytes:
    return frame(kind.encode(), _encoder.encode({"type": kind, **members}))


class _Block:
    """The one block that is open.

    Attributes:
        index: of the part in the events.
        part: as it began.
        number: of the block in the answer; None until it has something to show.
        text: of a custom tool's call, gathered.
    """

    __slots__ = ("index", "number", "part", "text")

    def __init__(self, index: int, part: Part) -> None:
        self.index = index
        self.part = part
        self.number: int | None = None
        self.text = ""


class MessageWriter(StreamWriter):
    """Writes one stream for a caller.

    Anthropic's blocks come one after another. Where parts overlap, as calls of tools do in OpenAI's
    chat, the first is written as it comes, and the others wait until it has ended.

    Args:
        frame: what is not the provider's to say.
    """

    def __init__(self, frame: ReplyFrame) -> None:
        self._frame = frame
        self._lost = Losses()
        self._open: _Block | None = None
        self._waiting: dict[int, deque[_PartEvent]] = {}
        self._numbers = 0
        self._usage = _NOTHING
        self._ended: Ended | None = None
        self._refused = False

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be said so far."""
        return self._lost.names

    def write(self, event: Event) -> bytes:
        """The frames of an event; nothing for `Ended`, whose frames `end` has."""
        if isinstance(event, (PartBegan, TextGrew, ArgumentsGrew, Signed, Cited, PartEnded)):
            written = self._write_part(event)
            return written + self._go_on() if self._waiting else written
        if isinstance(event, Began):
            message = message_of(self._frame, event.model)
            # What the prompt was is told at the end; the keys must be there from the beginning.
            message["usage"] = usage_object(_NOTHING, None, self._lost)
            # But for the one that SDKs do not read again at the end: zeros would stay.
            del message["usage"]["cache_creation"]
            return _event("message_start", message=message)
        if isinstance(event, UsageTold):
            self._usage = event.usage
        elif isinstance(event, Lost):
            self._lost.add(event.name)
        else:
            self._ended = event
        return b""

    def end(self) -> bytes:
        """The reason to stop with the whole usage, and the last frame."""
        written = b""
        while self._open is not None:  # A part that has not ended, for whatever reason.
            written += self._write_part(PartEnded(self._open.index)) + self._go_on()
        ended = self._ended or Ended(Finish.STOP)
        told = _event(
            "message_delta",
            delta={
                "stop_reason": reason_of(ended.finish, refused=self._refused),
                "stop_sequence": ended.stop_sequence,
            },
            usage=usage_object(self._usage, ended.service_tier, self._lost),
        )
        return written + told + STOP

    def error(self, error: ToranaError) -> bytes:
        """The frame of an error after the first byte."""
        return encode_error_event(error, self._frame.request_id)

    def ping(self) -> bytes:
        """A `ping`, as Anthropic sends it."""
        return PING

    # --- one part after another ----------------------------------------------------------------

    def _write_part(self, event: _PartEvent) -> bytes:
        block = self._open
        if block is None:
            return self._begin(event) if isinstance(event, PartBegan) else b""
        if event.index != block.index:
            self._waiting.setdefault(event.index, deque()).append(event)
            return b""
        if isinstance(event, PartEnded):
            self._open = None
            return self._close(block)
        return b"" if isinstance(event, PartBegan) else self._grow(block, event)

    def _go_on(self) -> bytes:
        """Write what has waited of the next part, and of those after it if they have ended too."""
        written = []
        while self._waiting and self._open is None:
            waited = self._waiting.pop(min(self._waiting))
            written += [self._write_part(event) for event in waited]
        return b"".join(written)

    def _begin(self, event: PartBegan) -> bytes:
        block = self._open = _Block(event.index, event.part)
        part = event.part
        self._refused = self._refused or isinstance(part, Refusal)
        if isinstance(part, (Text, Refusal, Thinking)):
            return b""  # Clients send texts back, and Anthropic takes no empty ones.
        if isinstance(part, HiddenThinking):
            return self._start(block, hidden_block(part))
        if isinstance(part, ToolCall):
            begun = {"id": fit_id(part.id), "name": fit_name(part.name), "input": {}}
            return self._start(block, {"type": "tool_use", **begun})
        note_unsayable(part, self._lost)
        return b""

    def _start(self, block: _Block, content: dict[str, Any]) -> bytes:
        block.number = self._numbers
        self._numbers += 1
        return _event("content_block_start", index=block.number, content_block=content)

    def _grow(self, block: _Block, event: _Change) -> bytes:
        part = block.part
        if isinstance(part, ToolCall):
            return self._argue(block, part, event)
        if isinstance(part, Thinking):
            return self._think(block, part, event)
        if not isinstance(part, (Text, Refusal)):
            return b""
        if isinstance(event, TextGrew):
            return self._delta(block, b"text_delta", b"text", event.text)
        return self._cite(block, event) if isinstance(event, Cited) else b""

    def _argue(self, block: _Block, part: ToolCall, event: _Change) -> bytes:
        if not isinstance(event, ArgumentsGrew):
            return b""
        if part.custom:
            block.text += event.text  # Told as JSON once it is whole.
            return b""
        return self._delta(block, b"input_json_delta", b"partial_json", event.text)

    def _think(self, block: _Block, part: Thinking, event: _Change) -> bytes:
        if isinstance(event, TextGrew):
            return self._delta(block, b"thinking_delta", b"thinking", event.text)
        if isinstance(event, Signed):
            signed = Thinking("", event.signature, event.vendor, part.id)
            return self._delta(block, b"signature_delta", b"signature", signature_of(signed))
        return b""

    def _cite(self, block: _Block, event: Cited) -> bytes:
        citation = event.citation
        if isinstance(citation, UrlCitation):
            self._lost.add_if("citation_spans", citation.start or citation.end)
        return self._delta(block, b"citations_delta", b"citation", citation_block(citation))

    def _delta(self, block: _Block, kind: bytes, member: bytes, value: Any) -> bytes:
        started = b""
        if block.number is None:
            empty = {"type": "text", "text": ""}
            if isinstance(block.part, Thinking):
                empty = {"type": "thinking", "thinking": "", "signature": ""}
            started = self._start(block, empty)
        return started + _DELTA % (block.number, kind, member, _encoder.encode(value))

    def _close(self, block: _Block) -> bytes:
        told = b""
        if isinstance(block.part, ToolCall) and block.part.custom:
            whole = msgspec.structs.replace(block.part, arguments=block.text)
            told = self._delta(
                block, b"input_json_delta", b"partial_json", bytes(input_of(whole)).decode()
            )
        if block.number is None:
            return told
        return told + _event("content_block_stop", index=block.number)
