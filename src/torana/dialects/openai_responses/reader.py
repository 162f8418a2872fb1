"""A provider's stream: the frames of OpenAI's Responses as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from torana.core.chat import ChatReply, Refusal, Text
from torana.core.events import Began, Ended, Event, UsageTold, events_of
from torana.dialects.base import StreamReader
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.answers import NULL, check, failure_of, usage_of
from torana.dialects.openai_responses.replies import (
    WireResponse,
    finish_of,
    read_output,
    response_decoder,
)
from torana.dialects.openai_responses.stream_parts import WHOLE, Key, StreamParts
from torana.dialects.openai_responses.streams import DONE, TERMINAL, ErrorBody, error_of
from torana.dialects.openai_responses.values import decode
from torana.dialects.wire import BAD_JSON
from torana.errors import InvalidRequest, UpstreamGarbage


class _Frame(msgspec.Struct):
    type: str
    output_index: int = 0
    content_index: int = 0
    delta: str | None = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    annotation: dict[str, Any] | None = None
    response: msgspec.Raw = NULL
    error: ErrorBody | None = None

    @property
    def key(self) -> Key:
        """The part that the event is about."""
        return self.output_index, self.content_index

    @property
    def whole(self) -> Key:
        """The item, where it is one part."""
        return self.output_index, WHOLE


_frame_decoder = msgspec.json.Decoder(_Frame)


class ResponsesReader(StreamReader):
    """Reads one stream."""

    def __init__(self) -> None:
        self._began = False
        self._parts = StreamParts()

    @property
    def finished(self) -> bool:
        """Whether the terminal event was seen: nothing else ends such a stream."""
        return self.done

    def read(self, data: bytes) -> list[Event]:
        """The events of a frame with this data.

        Raises:
            UpstreamGarbage: it is not an event.
            UpstreamError: the provider reports a failure.
        """
        if data == DONE:
            return []
        try:
            frame, data = decode(_frame_decoder, data)
            return self._read(frame, data)
        except (*BAD_JSON, InvalidRequest) as error:
            raise UpstreamGarbage("The provider sent something that is not an event.") from error

    def finish(self) -> list[Event]:
        """Nothing waits: the terminal event brings all."""
        return []

    def _read(self, frame: _Frame, data: bytes) -> list[Event]:
        if frame.type == "error":
            raise error_of(data, frame.error)
        if bytes(memoryview(frame.response)[:1]) == b"{":
            return self._read_response(frame.type, response_decoder.decode(frame.response))
        reader = _READERS.get(frame.type)
        return [] if reader is None else reader(self._parts, frame)

    def _read_response(self, kind: str, response: WireResponse) -> list[Event]:
        events: list[Event] = []
        if kind == "response.failed" and response.error is None:
            raise failure_of(None, None)
        if kind == "response.failed" or kind in TERMINAL:
            check(response)
        if not self._began:
            self._began = True
            events.append(Began(response.id, response.model, int(response.created_at)))
        if kind not in TERMINAL:
            return events
        events += self._parts.end_all()
        events += self._unstreamed(response)
        if response.usage is not None:
            events.append(UsageTold(usage_of(response.usage)))
        self.done = True
        finish = finish_of(response, self._parts.ended)
        return [*events, Ended(finish, service_tier=response.service_tier)]

    def _unstreamed(self, response: WireResponse) -> list[Event]:
        """The parts of a response whose stream has told nothing but its end."""
        if self._parts.begun:
            return []
        lost = Losses()
        parts = self._parts.ended = read_output(response.output, lost)
        whole = events_of(ChatReply(id="", model="", parts=tuple(parts)))
        return [*whole[1:-1], *(event for name in lost.names for event in self._parts.lose(name))]


_READERS: dict[str, Callable[[StreamParts, _Frame], list[Event]]] = {
    "response.output_text.delta": lambda p, f: p.grow(f.key, Text(""), f.delta or ""),
    "response.refusal.delta": lambda p, f: p.grow(f.key, Refusal(""), f.delta or ""),
    "response.function_call_arguments.delta": lambda p, f: p.grow_call(f.whole, f.delta or ""),
    "response.custom_tool_call_input.delta": lambda p, f: p.grow_call(f.whole, f.delta or ""),
    "response.reasoning_summary_part.added": lambda p, f: p.next_summary(f.whole),
    "response.reasoning_summary_text.delta": lambda p, f: p.grow_thought(f.whole, f.delta or ""),
    "response.reasoning_text.delta": lambda p, f: p.grow_thought(f.whole, f.delta or ""),
    "response.output_item.added": lambda p, f: p.add_item(f.whole, f.item or {}),
    "response.output_item.done": lambda p, f: p.end_item(f.whole, f.item or {}),
    "response.content_part.added": lambda p, f: p.add_part(f.key, f.part or {}),
    "response.content_part.done": lambda p, f: p.end_part(f.key, f.part or {}),
    "response.output_text.annotation.added": lambda p, f: p.cite(f.key, [f.annotation]),
}
"""Events that say something new; others repeat it, or tell how a tool of the provider's runs."""
