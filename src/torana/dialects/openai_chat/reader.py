"""A provider's chat stream read as events.

A part that is text ends when something else begins. Calls of tools stay open until the end, because
their fragments may come in any order; servers differ in what they leave out, so a call begins as
soon as its name is known, with an id of ours if there is none.
"""

from __future__ import annotations

from typing import Any

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
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
)
from torana.dialects.base import StreamReader
from torana.dialects.openai_chat.answers import usage_of
from torana.dialects.openai_chat.finishes import read_finish
from torana.dialects.openai_chat.replies import (
    Told,
    ToldCall,
    ToldChoice,
    ToldReply,
    arguments_of,
    decode_told,
    is_null,
    made_id,
)
from torana.dialects.openai_chat.streams import DONE
from torana.dialects.openai_chat.thoughts import ENCRYPTED, vendor_of
from torana.dialects.openai_chat.webs import localized, read_annotation
from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamGarbage


class _OpenText:
    """The part that grows: its place, and how much of it there is."""

    __slots__ = ("before", "complete", "detailed", "index", "kind", "length", "plain")

    def __init__(self, index: int, kind: type[Part], before: int) -> None:
        self.index = index
        self.kind = kind
        self.before = before
        """Characters of the content before this text."""
        self.length = 0
        self.plain = 0
        """Characters of thinking that came as `reasoning_content`."""
        self.complete = False
        """What comes next is another part, even of the same kind."""
        self.detailed: Any = None
        """The index of the `reasoning_details` that it came with."""


class _OpenCall:
    """A call of a tool; what came before its name waits."""

    __slots__ = ("custom", "id", "index", "waiting")

    def __init__(self) -> None:
        self.index: int | None = None
        self.id: str | None = None
        self.custom = False
        self.waiting: list[str] = []


class ChatReader(StreamReader):
    """Reads the chunks of one stream."""

    def __init__(self) -> None:
        self._began = False
        self._reply_id: str | None = None
        self._count = 0
        self._open: _OpenText | None = None
        self._text: _OpenText | None = None
        """The last visible text, open or not: citations may come late."""
        self._content_length = 0
        self._calls: dict[Any, _OpenCall] = {}
        self._last_call: Any = None
        self._current: dict[int, Any] = {}
        """Where servers use an index twice: which call it stands for now."""
        self._finish: str | None = None
        self._refused = False
        self._tier: str | None = None
        self._told_losses: set[str] = set()
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
        try:
            told = decode_told(data)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider sent something that is not a chunk.") from error
        if not is_null(told.error):
            raise UpstreamGarbage("The provider reported an error in the middle of its answer.")
        if self._ended:
            return []
        events: list[Event] = []
        self._read_choices(told, events)
        if told.service_tier is not None:
            self._tier = told.service_tier
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
        events: list[Event] = []
        if not self._began:
            events.append(Began("", ""))
        self._close(events)
        for call in self._calls.values():
            if call.index is None:
                self._lose("tool_calls", events)
            else:
                events.append(PartEnded(call.index))
        called = any(call.index is not None for call in self._calls.values())
        finish = read_finish(self._finish, called=called, refused=self._refused)
        events.append(Ended(finish, None, self._tier))
        return events

    # --- pieces --------------------------------------------------------------------------------

    def _begin(self, told: ToldReply, events: list[Event]) -> None:
        if not self._began:
            self._began = True
            self._reply_id = told.id
            events.append(Began(told.id or "", told.model or "", int(told.created or 0)))

    def _read_choices(self, told: ToldReply, events: list[Event]) -> None:
        if told.choices:
            self._begin(told, events)
            for choice in told.choices:
                # A translated call never asks for several choices.
                if choice.index == 0:
                    self._read_choice(choice, events)

    def _read_choice(self, choice: ToldChoice, events: list[Event]) -> None:
        # A few servers end a stream with the whole message; it repeats what has come.
        if choice.delta is not None:
            self._read_delta(choice.delta, events)
        if not is_null(choice.logprobs):
            self._lose("logprobs", events)
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason

    def _read_delta(self, delta: Told, events: list[Event]) -> None:
        if delta.reasoning_details:
            self._read_details(delta.reasoning_details, events)
        elif delta.reasoning_content or delta.reasoning:
            thought = delta.text()
            if thought:
                self._grow(Thinking, thought, events).plain += len(thought)
        if delta.content:
            self._read_content(delta, events)
        if delta.refusal:
            self._refused = True
            self._grow(Refusal, delta.refusal, events)
        if delta.annotations:
            self._cite(delta.annotations, events)
        if delta.function_call is not None:
            self._read_call(ToldCall(function=delta.function_call), "function_call", events)
        for call in delta.tool_calls or ():
            self._read_call(call, self._key(call), events)
        if not is_null(delta.audio):
            self._lose("audio", events)

    def _read_content(self, delta: Told, events: list[Event]) -> None:
        text, whole = delta.texts()
        if text:
            self._grow(Text, text, events)
            self._content_length += len(text)
        if not whole:
            self._lose("content", events)

    def _grow(
        self, kind: type[Text | Refusal | Thinking], text: str, events: list[Event]
    ) -> _OpenText:
        grown = self._open
        if grown is None or grown.kind is not kind or grown.complete:
            grown = self._open_part(kind(""), events)
        grown.length += len(text)
        events.append(TextGrew(grown.index, text))
        return grown

    def _open_part(self, part: Part, events: list[Event]) -> _OpenText:
        self._close(events)
        opened = self._open = _OpenText(self._count, type(part), self._content_length)
        if isinstance(part, Text):
            self._text = opened
        self._count += 1
        events.append(PartBegan(opened.index, part))
        return opened

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(self._open.index))
            self._open = None

    def _lose(self, name: str, events: list[Event]) -> None:
        if name not in self._told_losses:
            self._told_losses.add(name)
            events.append(Lost(name))

    def _cite(self, annotations: list[Any], events: list[Event]) -> None:
        for annotation in annotations:
            citation = read_annotation(annotation)
            text = self._text
            if citation is None or text is None or text is not self._open:
                self._lose("annotations", events)
            else:
                mark = localized(citation, text.before, text.length)
                events.append(Cited(text.index, mark))

    # --- thinking with signatures --------------------------------------------------------------

    def _read_details(self, details: list[Any], events: list[Event]) -> None:
        for detail in details:
            if isinstance(detail, dict):
                self._read_detail(detail, events)

    def _read_detail(self, detail: dict[str, Any], events: list[Event]) -> None:
        vendor = vendor_of(detail)
        if detail.get("type") == ENCRYPTED:
            data = detail.get("data")
            if isinstance(data, str) and data and vendor is not None:
                self._open_part(HiddenThinking(data, vendor, _text(detail, "id")), events)
                self._close(events)
            elif data:
                self._lose("reasoning_details", events)
            return
        text = _text(detail, "text") or _text(detail, "summary") or ""
        signature = _text(detail, "signature")
        index = detail.get("index")
        grown = self._open
        if grown is None or grown.kind is not Thinking or not _goes_on(grown, index):
            if not (text or signature or detail.get("id")):
                return
            grown = self._open_part(Thinking("", id=_text(detail, "id")), events)
        grown.detailed = index
        # What came as `reasoning_content` is repeated whole, with its signature.
        repeated = 0 < grown.plain == grown.length == len(text)
        if text and not repeated:
            grown.length += len(text)
            events.append(TextGrew(grown.index, text))
        if signature and vendor is not None:
            events.append(Signed(grown.index, signature, vendor))
        elif signature:
            self._lose("reasoning_details", events)
        grown.complete = repeated or signature is not None

    # --- calls of tools ------------------------------------------------------------------------

    def _key(self, told: ToldCall) -> Any:
        """Which call a fragment is of: its index, where servers tell it and tell it well."""
        name = _name(told)
        if told.index is not None:
            key = self._current.get(told.index, told.index)
        else:
            key = self._last_call if self._last_call is not None else 0
        known = self._calls.get(key)
        if known is None or known.index is None or not name:
            return key
        # A name again: the same call, told once more, or another one under the same index.
        another = told.id != known.id if told.id else told.index is None
        if not another:
            return key
        again = next((k for k, c in self._calls.items() if told.id and c.id == told.id), None)
        key = (len(self._calls), told.id) if again is None else again
        if told.index is not None:
            self._current[told.index] = key
        return key

    def _read_call(self, told: ToldCall, key: Any, events: list[Event]) -> None:
        self._last_call = key
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _OpenCall()
        call.id = call.id or told.id or None
        name = _name(told)
        if told.custom is not None:
            call.custom = True
            piece = told.custom.input or ""
        else:
            piece = arguments_of(told.function) if told.function is not None else ""
        if call.index is None:
            if not name:
                call.waiting.append(piece)
                return
            self._close(events)
            call.index = self._count
            self._count += 1
            call.id = call.id or made_id(self._reply_id, call.index)
            part = ToolCall(call.id, name, "", custom=call.custom)
            events.append(PartBegan(call.index, part))
            piece = "".join([*call.waiting, piece])
        if piece:
            events.append(ArgumentsGrew(call.index, piece))


def _name(told: ToldCall) -> str | None:
    if told.custom is not None:
        return told.custom.name
    return told.function.name if told.function is not None else None


def _goes_on(grown: _OpenText, index: Any) -> bool:
    """Whether a detail belongs to the thinking that is open."""
    if grown.complete:
        return False
    return grown.detailed is None or index is None or grown.detailed == index


def _text(detail: dict[str, Any], key: str) -> str | None:
    value = detail.get(key)
    return value if isinstance(value, str) and value else None
