"""A stream for a caller: events as the frames of OpenAI's Responses.

Source: the stream events of the openai SDK's types. An item is added, its parts are added and grow,
and each is told once more when it is done; the last event holds the whole response.
"""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import (
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Cited,
    Ended,
    Event,
    Fold,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
)
from torana.dialects.base import ReplyFrame, StreamWriter, lost_of
from torana.dialects.losses import Losses
from torana.dialects.openai_responses import output
from torana.dialects.openai_responses.frames import PING, encode_error, encode_event
from torana.dialects.openai_responses.output import Place, Places
from torana.dialects.openai_responses.response_object import opening, response_of
from torana.dialects.openai_responses.writing_items import note_unsayable
from torana.errors import ToranaError

_encoder = msgspec.json.Encoder()


def _summary(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


class _Open:
    """A part that grows."""

    __slots__ = ("part", "place", "texts")

    def __init__(self, part: Part, place: Place) -> None:
        self.part = part
        self.place = place
        self.texts: list[str] = []

    @property
    def whole(self) -> Part:
        """The part as it has grown."""
        text = "".join(self.texts)
        part = self.part
        if isinstance(part, (Text, Refusal, Thinking)):
            return msgspec.structs.replace(part, text=part.text + text)
        if isinstance(part, ToolCall):
            return msgspec.structs.replace(part, arguments=part.arguments + text)
        return part


class _Message:
    """A message of the answer; it is done when its parts are, and no more can follow."""

    __slots__ = ("contents", "growing", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.contents: dict[int, dict[str, Any]] = {}
        self.growing = 0

    def item(self, status: str) -> dict[str, Any]:
        """The message as it is now."""
        item = output.message_item(self.place, status)
        item["content"] = [part for _, part in sorted(self.contents.items())]
        return item


class ResponsesWriter(StreamWriter):
    """Writes one stream.

    Args:
        frame: the request, and what the response is called.
    """

    def __init__(self, frame: ReplyFrame) -> None:
        self._frame = frame
        self._fold = Fold()
        self._places = Places(frame.request_id)
        self._open: dict[int, _Open] = {}
        self._messages: dict[int, _Message] = {}
        self._current: _Message | None = None
        """The message that may still get another part."""
        self._lost = Losses()
        self._sequence = 0
        self._response: dict[str, Any] = {}

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be said so far."""
        return lost_of(*self._fold.lost, *self._lost.names)

    @property
    def kept(self) -> bytes | None:
        """The JSON of the response, where the caller can come back to it."""
        if not self._frame.stored or not self._response:
            return None
        return _encoder.encode(self._response)

    def write(self, event: Event) -> bytes:
        """The frames of an event; nothing for `Ended`, whose frames `end` has."""
        self._fold.add(event)
        if isinstance(event, (TextGrew, ArgumentsGrew)):
            grown = self._open.get(event.index)
            return b"" if grown is None else self._grow(grown, event.text)
        if isinstance(event, PartBegan):
            return self._begin(event)
        if isinstance(event, PartEnded):
            done = self._open.pop(event.index, None)
            return b"" if done is None else self._finish(done)
        if isinstance(event, Began):
            response = opening(self._frame, event.model, event.created)
            return self._frame_of("created", response=response) + self._frame_of(
                "in_progress", response=response
            )
        if isinstance(event, (Signed, Cited)):
            self._mark(event)
        elif isinstance(event, Ended):
            self._response = response_of(self._fold.reply(), self._frame, self._lost)
        return b""

    def end(self) -> bytes:
        """The last message's end, and the terminal event with the whole response."""
        self._current = None
        closing = self._close_messages(self._response["status"])
        return closing + self._frame_of(self._response["status"], response=self._response)

    def error(self, error: ToranaError) -> bytes:
        """An error after the first byte."""
        return encode_error(error, self._sequence)

    def ping(self) -> bytes:
        """A comment."""
        return PING

    # --- parts ---------------------------------------------------------------------------------

    def _begin(self, event: PartBegan) -> bytes:
        part = event.part
        place = self._places.next(part)
        if place is None:
            note_unsayable(part, self._lost)
            return b""
        self._open[event.index] = _Open(part, place)
        if isinstance(part, (Text, Refusal)):
            return self._begin_content(part, place)
        self._current = None
        frames = self._close_messages()
        if isinstance(part, ToolCall):
            item = output.call_item(part, place, "in_progress")
        else:
            item = output.thinking_seed(part, place)
        frames += self._item_frame("added", place, item)
        if isinstance(part, Thinking):
            frames += self._summary_frame("part.added", place, part=_summary(part.text))
        return frames

    def _begin_content(self, part: Text | Refusal, place: Place) -> bytes:
        frames = b""
        if place.content == 0:
            self._current = None
            frames += self._close_messages()
            self._current = self._messages[place.output] = _Message(place)
            frames += self._item_frame("added", place, self._current.item("in_progress"))
        self._messages[place.output].growing += 1
        return frames + self._content_frame(
            "content_part.added", place, part=output.content_part(part, Losses())
        )

    def _grow(self, grown: _Open, text: str) -> bytes:
        grown.texts.append(text)
        part, place = grown.part, grown.place
        if isinstance(part, Text):
            return self._content_frame("output_text.delta", place, delta=text, logprobs=[])
        if isinstance(part, Thinking):
            return self._summary_frame("text.delta", place, delta=text)
        if isinstance(part, Refusal):
            return self._content_frame("refusal.delta", place, delta=text)
        return self._call_frame(part, "delta", place, delta=text)

    def _mark(self, event: Signed | Cited) -> None:
        marked = self._open.get(event.index)
        if marked is None:
            return
        part = marked.part
        if isinstance(event, Cited) and isinstance(part, Text):
            held = (*part.citations, event.citation)
            marked.part = msgspec.structs.replace(part, citations=held)
        elif isinstance(event, Signed) and isinstance(part, Thinking):
            marked.part = msgspec.structs.replace(
                part, signature=event.signature, vendor=event.vendor
            )

    def _finish(self, done: _Open) -> bytes:
        part, place = done.whole, done.place
        if isinstance(part, (Text, Refusal)):
            return self._finish_content(part, place)
        if isinstance(part, ToolCall):
            frames = b""
            if not part.arguments and not part.custom:
                frames = self._grow(done, "{}")
                part = msgspec.structs.replace(part, arguments="{}")
            given = {"input" if part.custom else "arguments": part.arguments}
            frames += self._call_frame(part, "done", place, **given)
            return frames + self._item_frame(
                "done", place, output.call_item(part, place, "completed")
            )
        if not isinstance(part, (Thinking, HiddenThinking)):
            return b""
        frames = b""
        if isinstance(part, Thinking):
            frames += self._summary_frame("text.done", place, text=part.text)
            frames += self._summary_frame("part.done", place, part=_summary(part.text))
        return frames + self._item_frame("done", place, output.thinking_item(part, place))

    def _finish_content(self, part: Text | Refusal, place: Place) -> bytes:
        written = output.content_part(part, self._lost)
        if isinstance(part, Refusal):
            frames = self._content_frame("refusal.done", place, refusal=part.text)
        else:
            frames = b"".join(
                self._content_frame(
                    "output_text.annotation.added", place, annotation_index=index, annotation=mark
                )
                for index, mark in enumerate(written["annotations"])
            )
            frames += self._content_frame("output_text.done", place, text=part.text, logprobs=[])
        frames += self._content_frame("content_part.done", place, part=written)
        message = self._messages[place.output]
        message.contents[place.content] = written
        message.growing -= 1
        return frames + self._close_messages()

    def _close_messages(self, status: str = "completed") -> bytes:
        """The ends of messages that get nothing more."""
        over = [
            message
            for message in self._messages.values()
            if not message.growing and message is not self._current
        ]
        for message in over:
            del self._messages[message.place.output]
        return b"".join(
            self._item_frame("done", message.place, message.item(status)) for message in over
        )

    # --- frames --------------------------------------------------------------------------------

    def _frame_of(self, kind: str, **fields: Any) -> bytes:
        sequence = self._sequence
        self._sequence += 1
        return encode_event({"type": f"response.{kind}", "sequence_number": sequence, **fields})

    def _item_frame(self, kind: str, place: Place, item: dict[str, Any]) -> bytes:
        return self._frame_of(f"output_item.{kind}", output_index=place.output, item=item)

    def _content_frame(self, kind: str, place: Place, **fields: Any) -> bytes:
        return self._frame_of(
            kind,
            item_id=place.item_id,
            output_index=place.output,
            content_index=place.content,
            **fields,
        )

    def _summary_frame(self, kind: str, place: Place, **fields: Any) -> bytes:
        return self._frame_of(
            f"reasoning_summary_{kind}",
            item_id=place.item_id,
            output_index=place.output,
            summary_index=0,
            **fields,
        )

    def _call_frame(self, part: Part, kind: str, place: Place, **fields: Any) -> bytes:
        custom = isinstance(part, ToolCall) and part.custom
        name = "custom_tool_call_input" if custom else "function_call_arguments"
        return self._frame_of(
            f"{name}.{kind}", item_id=place.item_id, output_index=place.output, **fields
        )
