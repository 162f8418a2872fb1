"""A provider's stream as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from torana.core.chat import Part, Refusal, Text, Thinking, ToolCall
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
from torana.dialects.anthropic.answers import NULL, WireUsage, decoded, merged, usage_of
from torana.dialects.anthropic.content_blocks import BadBlock
from torana.dialects.anthropic.parts import citation_of, read_blocks, thinking_part
from torana.dialects.anthropic.replies import StopDetails, beside, finish_of, note_category, tier_of
from torana.dialects.anthropic.streams import error_of
from torana.dialects.base import StreamReader
from torana.dialects.losses import Losses
from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamGarbage


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: WireUsage | None = None
    container: msgspec.Raw = NULL
    diagnostics: msgspec.Raw = NULL


class _Delta(msgspec.Struct):
    """Of a block or of the message."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: msgspec.Raw = NULL


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: msgspec.Raw = NULL
    delta: _Delta | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Event)


class _Open:
    """A block that has begun.

    Attributes:
        index: of its part.
        part: as it began, with what the block's start has told at once.
        grown: arguments of its call have come.
    """

    __slots__ = ("grown", "index", "part")

    def __init__(self, index: int, part: Part) -> None:
        self.index = index
        self.part = part
        self.grown = False


class MessageReader(StreamReader):
    """Reads one stream of a provider.

    Attributes:
        done: `message_stop` was seen.
    """

    def __init__(self) -> None:
        self._began = False
        self._open: dict[int, _Open] = {}
        self._parts = 0
        self._told: WireUsage | None = None
        self._stop: _Delta | None = None
        self._ended = False
        self._readers: dict[str, Callable[[_Event], list[Event]]] = {
            "message_start": self._read_start,
            "content_block_start": self._read_block_start,
            "content_block_delta": self._read_block_delta,
            "content_block_stop": self._read_block_stop,
            "message_delta": self._read_delta,
            "message_stop": self._read_stop,
            "error": self._read_error,
            "ping": self._read_ping,
        }
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether the stream has come to an end of its own: a reason to stop was told."""
        return self.done or self._stop is not None

    def read(self, data: bytes) -> list[Event]:
        """The events of a frame with this data.

        Raises:
            UpstreamOverloaded: the provider said so before its answer began.
            UpstreamGarbage: the data is not an event, or is an error of the provider.
        """
        try:
            event, _ = decoded(_decoder, data)
            read = self._readers.get(event.type)
            return [Lost(f"event={event.type[:60]}")] if read is None else read(event)
        except (*BAD_JSON, BadBlock) as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error

    def finish(self) -> list[Event]:
        """The end, if `message_stop` has not brought it."""
        return self._end()

    def _read_start(self, event: _Event) -> list[Event]:
        message = event.message or _Message()
        self._began = True
        lost = beside(container=message.container, diagnostics=message.diagnostics)
        if message.usage is not None:
            # It is known what was read, and nothing of what will be written.
            self._told = merged(self._told, message.usage)
        return [Began(message.id, message.model), *map(Lost, lost)]

    def _read_block_start(self, event: _Event) -> list[Event]:
        lost = Losses()
        parts = read_blocks(b"[%b]" % event.content_block, lost, "content[]")
        events: list[Event] = [Lost(name) for name in lost.names]
        if not parts and not any(name.startswith("content[].type=") for name in lost.names):
            parts = [Text("")]  # It is empty so far.
        for part in parts:
            block = _Open(self._parts, part)
            self._open[event.index] = block
            self._parts += 1
            events += _began(block)
        return events

    def _read_block_delta(self, event: _Event) -> list[Event]:
        delta = event.delta
        block = self._open.get(event.index)
        if delta is None or block is None:
            return []  # Of a block that was named as lost.
        return _grown(block, delta)

    def _read_block_stop(self, event: _Event) -> list[Event]:
        block = self._open.pop(event.index, None)
        return [] if block is None else _ended(block)

    def _read_delta(self, event: _Event) -> list[Event]:
        delta = event.delta or _Delta()
        if delta.stop_reason is not None:
            self._stop = delta
        return [*map(Lost, beside(container=delta.container)), *self._note(event.usage)]

    def _read_stop(self, _event: _Event) -> list[Event]:
        self.done = True
        return self._end()

    def _read_error(self, event: _Event) -> list[Event]:
        raise error_of(event.error, began=self._began)

    def _read_ping(self, _event: _Event) -> list[Event]:
        return []

    def _note(self, usage: WireUsage | None) -> list[Event]:
        if usage is None:
            return []
        self._told = merged(self._told, usage)
        # Before the end it is what there was so far: too little.
        told = usage_of(self._told) if self._stop is not None else None
        return [] if told is None else [UsageTold(told)]

    def _end(self) -> list[Event]:
        if self._ended:
            return []
        self._ended = True
        events: list[Event] = []
        for block in self._open.values():
            events += _ended(block)
        self._open = {}
        stop = self._stop or _Delta()
        if stop.stop_details is not None and stop.stop_details.explanation:
            words = stop.stop_details.explanation
            events += [
                PartBegan(self._parts, Refusal("")),
                TextGrew(self._parts, words),
                PartEnded(self._parts),
            ]
        lost = Losses()
        finish = finish_of(stop.stop_reason, lost)
        note_category(stop.stop_details, lost)
        events += [Lost(name) for name in lost.names]
        return [*events, Ended(finish, stop.stop_sequence, tier_of(self._told))]


def _began(block: _Open) -> list[Event]:
    """A part that opens, and what its block's start has told of it already."""
    index, part = block.index, block.part
    if isinstance(part, Text):
        grown: list[Event] = [TextGrew(index, part.text)] if part.text else []
        grown += [Cited(index, citation) for citation in part.citations]
        return [PartBegan(index, Text("")), *grown]
    if isinstance(part, Thinking):
        grown = [TextGrew(index, part.text)] if part.text else []
        return [PartBegan(index, Thinking("", id=part.id)), *grown, *_signed(index, part)]
    if isinstance(part, ToolCall):
        # Its arguments come in pieces; here they are empty, or whole from a look-alike.
        return [PartBegan(index, msgspec.structs.replace(part, arguments=""))]
    return [PartBegan(index, part)]


def _signed(index: int, part: Thinking) -> list[Event]:
    if part.signature is None or part.vendor is None:
        return []
    return [Signed(index, part.signature, part.vendor)]


def _ended(block: _Open) -> list[Event]:
    if isinstance(block.part, ToolCall) and not block.grown:
        return [ArgumentsGrew(block.index, block.part.arguments), PartEnded(block.index)]
    return [PartEnded(block.index)]


def _grown(block: _Open, delta: _Delta) -> list[Event]:
    if delta.type in {"text_delta", "thinking_delta"}:
        text = delta.text or delta.thinking
        return [TextGrew(block.index, text)] if text else []
    if delta.type == "input_json_delta":
        if not delta.partial_json:
            return []
        block.grown = True
        return [ArgumentsGrew(block.index, delta.partial_json)]
    if delta.type == "signature_delta":
        return _signed(block.index, thinking_part("", delta.signature))
    if delta.type == "citations_delta" and delta.citation is not None:
        return [Cited(block.index, citation_of(delta.citation))]
    return [Lost(f"delta={(delta.type or '')[:60]}")]
