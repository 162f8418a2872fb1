"""Answers of legacy completions, whole and as streams, in canonical values and from them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import (
    ChatReply,
    Finish,
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from torana.core.events import (
    Began,
    Cited,
    Ended,
    Event,
    Lost,
    PartBegan,
    PartEnded,
    TextGrew,
    UsageTold,
)
from torana.core.usage import Usage
from torana.dialects import sse, wire
from torana.dialects.base import ReplyFrame, StreamReader, StreamWriter, WireAnswer, lost_of
from torana.dialects.openai_chat.answers import WireUsage, usage_of
from torana.dialects.openai_chat.finishes import finish_losses, read_finish
from torana.dialects.openai_chat.replies import NULL, is_null
from torana.dialects.openai_chat.streams import DONE, PING, encode_error_event
from torana.dialects.openai_chat.usages import write_usage
from torana.dialects.surrogates import without_halves
from torana.dialects.wire import BAD_JSON
from torana.errors import ToranaError, UpstreamError, UpstreamGarbage

LOST: Mapping[str, str] = MappingProxyType(
    {
        "citations": "A completion is a text.",
        "content": "A completion is a text: no picture, document, recording or tool's result.",
        "finish_reason": "A pause, or a call of a tool, is told as `stop`.",
        "service_tier": "It is not told.",
        "stop_sequence": "The end is told, not which text has ended it.",
        "thinking": "A completion is a text.",
        "tool_calls": "A completion is a text.",
    }
)
"""Every name that the writers of answers can report, and why."""
UNREAD: Mapping[str, str] = MappingProxyType({"logprobs": "Probabilities."})
"""Every name of what a provider has said and a reply can't hold."""
_FINISHES = {
    Finish.LENGTH: "length",
    Finish.CONTEXT: "length",
    Finish.REFUSAL: "content_filter",
}


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = NULL


class _Told(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Told)


def _decode(data: bytes) -> _Told:
    try:
        return _decoder.decode(data)
    except BAD_JSON as error:
        mended = without_halves(data)
        if mended is not None:
            try:
                return _decoder.decode(mended)
            except BAD_JSON:
                pass
        raise UpstreamGarbage("The provider's answer is not a completion.") from error


# --- JSON --------------------------------------------------------------------------------------


def read_reply(body: bytes) -> ChatReply:
    """A provider's JSON answer as a value.

    Raises:
        UpstreamGarbage: it is not a completion.
        UpstreamError: it is an error in the clothes of a success.
    """
    told = _decode(body)
    if not is_null(told.error):
        raise UpstreamError("The provider answered with an error under a success status.")
    if not told.choices:
        raise UpstreamGarbage("The provider's answer is not a completion.")
    choice = told.choices[0]
    return ChatReply(
        id=told.id or "",
        model=told.model or "",
        created=int(told.created or 0),
        parts=(Text(choice.text),) if choice.text else (),
        finish=read_finish(choice.finish_reason, called=False, refused=False),
        usage=None if told.usage is None else usage_of(told.usage),
        lost=() if is_null(choice.logprobs) else ("logprobs",),
    )


def write_reply(reply: ChatReply, frame: ReplyFrame) -> WireAnswer:
    """A JSON answer for a caller; a refusal is its text."""
    texts = [part.text for part in reply.parts if isinstance(part, (Text, Refusal))]
    choice = {
        "index": 0,
        "text": "".join(texts),
        "logprobs": None,
        "finish_reason": _FINISHES.get(reply.finish, "stop"),
    }
    answer = _envelope(frame, reply.model, reply.created) | {
        "choices": [choice],
        "usage": None if reply.usage is None else write_usage(reply.usage),
    }
    lost = [name for part in reply.parts for name in _part_losses(part)]
    lost += _end_losses(reply.finish, reply.stop_sequence, reply.service_tier)
    return WireAnswer(
        body=wire.encode_fields(answer), usage=reply.usage, lost=lost_of(*reply.lost, *lost)
    )


def _envelope(frame: ReplyFrame, model: str, created: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{frame.request_id.removeprefix('req_')}",
        "object": "text_completion",
        "created": created or frame.created,
        "model": frame.model or model,
    }


def _part_losses(part: Part) -> list[str]:
    if isinstance(part, Text):
        return ["citations"] if part.citations else []
    if isinstance(part, Refusal):
        return []
    if isinstance(part, (Thinking, HiddenThinking)):
        return ["thinking"]
    return ["tool_calls"] if isinstance(part, ToolCall) else ["content"]


def _end_losses(finish: Finish, stop_sequence: str | None, tier: str | None) -> list[str]:
    lost = finish_losses(finish, stop_sequence, None)
    if finish is Finish.TOOL_CALLS:
        lost.append("finish_reason")
    if tier is not None:
        lost.append("service_tier")
    return lost


# --- streams -----------------------------------------------------------------------------------


class CompletionReader(StreamReader):
    """Reads the chunks of one stream."""

    def __init__(self) -> None:
        self._began = False
        self._open = False
        self._finish: str | None = None
        self._lost = False
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether there was a reason to finish, or `[DONE]`."""
        return self.done or self._finish is not None

    def read(self, data: bytes) -> list[Event]:
        """See `StreamReader`."""
        if data == DONE:
            self.done = True
            return self.finish()
        told = _decode(data)
        if not is_null(told.error):
            raise UpstreamGarbage("The provider reported an error in the middle of its answer.")
        if self._ended:
            return []
        events: list[Event] = []
        if told.choices and not self._began:
            self._began = True
            events.append(Began(told.id or "", told.model or "", int(told.created or 0)))
        for choice in told.choices or ():
            if choice.index == 0:
                self._read_choice(choice, events)
        if told.usage is not None and (not told.choices or self.finished):
            # Some servers tell it with every chunk: so far, it is too little.
            usage = usage_of(told.usage)
            events += [] if usage is None else [UsageTold(usage)]
            if not told.choices and self._finish is not None:
                events += self.finish()
        return events

    def finish(self) -> list[Event]:
        """See `StreamReader`; gives the end once, and only of a stream that has come to one."""
        if self._ended or not self.finished:
            return []
        self._ended = True
        events: list[Event] = [] if self._began else [Began("", "")]
        if self._open:
            events.append(PartEnded(0))
        events.append(Ended(read_finish(self._finish, called=False, refused=False)))
        return events

    def _read_choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.text:
            if not self._open:
                self._open = True
                events.append(PartBegan(0, Text("")))
            events.append(TextGrew(0, choice.text))
        if not is_null(choice.logprobs) and not self._lost:
            self._lost = True
            events.append(Lost("logprobs"))
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason


class CompletionWriter(StreamWriter):
    """Writes the chunks of one stream.

    Args:
        frame: what is not the provider's to say.
    """

    def __init__(self, frame: ReplyFrame) -> None:
        self._frame = frame
        self._envelope = _envelope(frame, "", 0)
        self._shown: set[int] = set()
        self._usage: Usage | None = None
        self._ended: Ended | None = None
        self._lost: list[str] = []

    @property
    def lost(self) -> tuple[str, ...]:
        """See `StreamWriter`; the names are those of this module."""
        return lost_of(*self._lost)

    def write(self, event: Event) -> bytes:
        """See `StreamWriter`."""
        if isinstance(event, TextGrew):
            return self._chunk(event.text) if event.index in self._shown else b""
        if isinstance(event, PartBegan):
            self._lost += _part_losses(event.part)
            if isinstance(event.part, (Text, Refusal)):
                self._shown.add(event.index)
        elif isinstance(event, Cited):
            self._lost.append("citations")
        elif isinstance(event, Began):
            self._envelope = _envelope(self._frame, event.model, event.created)
        elif isinstance(event, UsageTold):
            self._usage = event.usage
        elif isinstance(event, Ended):
            self._ended = event
            self._lost += _end_losses(event.finish, event.stop_sequence, event.service_tier)
        return b""

    def end(self) -> bytes:
        """See `StreamWriter`."""
        frames = []
        if self._ended is not None:
            frames.append(self._chunk("", _FINISHES.get(self._ended.finish, "stop")))
            if self._frame.request.include_usage and self._usage is not None:
                told = {"choices": [], "usage": write_usage(self._usage)}
                frames.append(sse.encode(wire.encode_fields(self._envelope | told)))
        return b"".join([*frames, sse.encode(DONE)])

    def error(self, error: ToranaError) -> bytes:
        """See `StreamWriter`."""
        return encode_error_event(error)

    def ping(self) -> bytes:
        """See `StreamWriter`."""
        return PING

    def _chunk(self, text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        chunk: dict[str, Any] = self._envelope | {"choices": [choice]}
        if self._frame.request.include_usage:
            chunk["usage"] = None
        return sse.encode(wire.encode_fields(chunk))
