"""A reply as it comes, and its pure fold to the whole.

A stream is `Began`, then for each part `PartBegan`, what it grows by and `PartEnded`, then `Ended`.
Parts may overlap (parallel tool calls do in OpenAI's chat); their indices count from 0 in the order
in which they begin. `UsageTold` may come at any time and is cumulative; the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from torana.core.chat import (
    ChatReply,
    Citation,
    Finish,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Vendor,
)
from torana.core.usage import Usage


class Began(msgspec.Struct, frozen=True, tag="began"):
    """The first event. `created` in seconds since 1970, 0 where the dialect does not tell."""

    id: str
    model: str
    created: int = 0


class PartBegan(msgspec.Struct, frozen=True, tag="part_began"):
    """A part opens.

    Texts, arguments and signatures of `part` are empty and grow; a `HiddenThinking` is whole.
    """

    index: int
    part: Part


class TextGrew(msgspec.Struct, frozen=True, tag="text_grew"):
    """Of a `Text`, `Refusal` or `Thinking`: more of its text."""

    index: int
    text: str


class ArgumentsGrew(msgspec.Struct, frozen=True, tag="arguments_grew"):
    """Of a `ToolCall`: more of its arguments; a piece of JSON text."""

    index: int
    text: str


class Signed(msgspec.Struct, frozen=True, tag="signed"):
    """Of a `Thinking`: its signature, whole; comes after its text."""

    index: int
    signature: str
    vendor: Vendor


class Cited(msgspec.Struct, frozen=True, tag="cited"):
    """Of a `Text`: one more citation."""

    index: int
    citation: Citation


class PartEnded(msgspec.Struct, frozen=True, tag="part_ended"):
    """A part is complete."""

    index: int


class UsageTold(msgspec.Struct, frozen=True, tag="usage_told"):
    """The usage so far."""

    usage: Usage


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """The provider said something that no event can hold; `name` as its dialect calls it."""

    name: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The last event: all parts have ended and the usage was told."""

    finish: Finish
    stop_sequence: str | None = None
    service_tier: str | None = None


Event: TypeAlias = (
    Began
    | PartBegan
    | TextGrew
    | ArgumentsGrew
    | Signed
    | Cited
    | PartEnded
    | UsageTold
    | Lost
    | Ended
)


class Fold:
    """Gathers the events of one stream to its reply."""

    def __init__(self) -> None:
        self._began = Began("", "")
        self._parts: dict[int, Part] = {}
        self._texts: dict[int, list[str]] = {}
        self._usage: Usage | None = None
        self._lost: list[str] = []
        self._ended: Ended | None = None

    @property
    def usage(self) -> Usage | None:
        """The usage that was told last."""
        return self._usage

    @property
    def ended(self) -> bool:
        """Whether the reply has come to its end."""
        return self._ended is not None

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be held so far."""
        return tuple(self._lost)

    def add(self, event: Event) -> None:
        """Take one event in."""
        if isinstance(event, (TextGrew, ArgumentsGrew)):
            self._texts[event.index].append(event.text)
        elif isinstance(event, PartBegan):
            self._parts[event.index] = event.part
            self._texts[event.index] = []
        elif isinstance(event, (Signed, Cited)):
            self._parts[event.index] = _marked(self._parts[event.index], event)
        elif isinstance(event, Began):
            self._began = event
        elif isinstance(event, UsageTold):
            self._usage = event.usage
        elif isinstance(event, Lost):
            if event.name not in self._lost:
                self._lost.append(event.name)
        elif isinstance(event, Ended):
            self._ended = event

    def reply(self) -> ChatReply:
        """The reply so far; of a stream that has not ended it is what came."""
        ended = self._ended or Ended(Finish.STOP)
        return ChatReply(
            id=self._began.id,
            model=self._began.model,
            created=self._began.created,
            parts=tuple(
                _grown(part, "".join(self._texts[index]))
                for index, part in sorted(self._parts.items())
            ),
            finish=ended.finish,
            stop_sequence=ended.stop_sequence,
            usage=self._usage,
            service_tier=ended.service_tier,
            lost=self.lost,
        )


def fold(events: Iterable[Event]) -> ChatReply:
    """The reply that a stream comes to."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.reply()


def events_of(reply: ChatReply) -> list[Event]:
    """The shortest stream that folds to a reply: every part grows at once."""
    events: list[Event] = [Began(reply.id, reply.model, reply.created)]
    for index, part in enumerate(reply.parts):
        events += _part_events(index, part)
    events += [Lost(name) for name in reply.lost]
    if reply.usage is not None:
        events.append(UsageTold(reply.usage))
    events.append(Ended(reply.finish, reply.stop_sequence, reply.service_tier))
    return events


def _part_events(index: int, part: Part) -> list[Event]:
    grown: list[Event] = []
    seed = part
    if isinstance(part, Text):
        seed = msgspec.structs.replace(part, text="", citations=())
        grown = [TextGrew(index, part.text)] if part.text else []
        grown += [Cited(index, citation) for citation in part.citations]
    elif isinstance(part, Refusal):
        seed = Refusal("")
        grown = [TextGrew(index, part.text)] if part.text else []
    elif isinstance(part, Thinking):
        seed = Thinking("", id=part.id)
        grown = [TextGrew(index, part.text)] if part.text else []
        if part.signature is not None and part.vendor is not None:
            grown.append(Signed(index, part.signature, part.vendor))
    elif isinstance(part, ToolCall):
        seed = msgspec.structs.replace(part, arguments="")
        grown = [ArgumentsGrew(index, part.arguments)]
    return [PartBegan(index, seed), *grown, PartEnded(index)]


def _marked(part: Part, event: Signed | Cited) -> Part:
    if isinstance(event, Signed) and isinstance(part, Thinking):
        return msgspec.structs.replace(part, signature=event.signature, vendor=event.vendor)
    if isinstance(event, Cited) and isinstance(part, Text):
        return msgspec.structs.replace(part, citations=(*part.citations, event.citation))
    return part


def _grown(part: Part, text: str) -> Part:
    if isinstance(part, (Text, Refusal, Thinking)):
        return msgspec.structs.replace(part, text=part.text + text)
    if isinstance(part, ToolCall):
        # A tool without parameters is called with an empty object, never with nothing.
        given = part.arguments + text
        return msgspec.structs.replace(part, arguments=given if given or part.custom else "{}")
    return part
