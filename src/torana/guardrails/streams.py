"""Streamed replies, as guardrails let them pass: events in, events out."""

from __future__ import annotations

import msgspec

from torana.core.chat import Refusal, Text, Thinking, ToolCall
from torana.core.events import (
    ArgumentsGrew,
    Cited,
    Ended,
    Event,
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
)
from torana.guardrails.base import TextFilter
from torana.guardrails.calls import rewrite_citation
from torana.guardrails.filters import Chain
from torana.guardrails.guarded import GuardedCalls
from torana.guardrails.replies import LOST_SIGNATURE, arguments_filter, guard_text


class _Grows(msgspec.Struct):
    """A part that grows, and what its text passes through."""

    event: type[TextGrew | ArgumentsGrew]
    passes: TextFilter


class EventFilter:
    """Leads the events of one stream through the guardrails of its call.

    Args:
        guards: of the call, whose prompt they have seen.
    """

    def __init__(self, guards: GuardedCalls) -> None:
        self._guards = guards
        self._growing: dict[int, _Grows] = {}

    def pass_on(self, event: Event) -> list[Event]:
        """What goes to the caller for an event of the provider.

        Raises:
            GuardrailBlocked: a guardrail does not let the answer pass; nothing more may be sent.
            InternalError: one is broken; the same holds.
        """
        if isinstance(event, (TextGrew, ArgumentsGrew)):
            return self._grow(event)
        if isinstance(event, PartEnded):
            return [*self._flush(event.index), event]
        if isinstance(event, Signed):
            return self._sign(event)
        if isinstance(event, Ended):
            rest = [each for index in sorted(self._growing) for each in self._flush(index)]
            return [*rest, event]
        if isinstance(event, PartBegan):
            self._begin(event)
        return [self._cite(event) if isinstance(event, Cited) else event]

    def _grow(self, event: TextGrew | ArgumentsGrew) -> list[Event]:
        grows = self._growing.get(event.index)
        if grows is None:
            return [event]
        return _grown(event.index, grows, grows.passes.feed(event.text))

    def _begin(self, event: PartBegan) -> None:
        part = event.part
        if isinstance(part, ToolCall) and not part.custom:
            passes: TextFilter | None = arguments_filter(self._guards)
        elif isinstance(part, (Text, Refusal, Thinking, ToolCall)):
            passes = self._guards.filter(restores=not isinstance(part, Thinking))
        else:
            passes = None
        if passes is not None:
            kind = ArgumentsGrew if isinstance(part, ToolCall) else TextGrew
            self._growing[event.index] = _Grows(kind, passes)

    def _flush(self, index: int) -> list[Event]:
        grows = self._growing.pop(index, None)
        if grows is None:
            return []
        return _grown(index, grows, grows.passes.end())

    def _sign(self, event: Signed) -> list[Event]:
        """A signature comes after the whole text, and is true of that only."""
        grows = self._growing.get(event.index)
        if grows is None:
            return [event]
        rest = self._flush(event.index)
        self._begin(PartBegan(event.index, Thinking("")))
        if isinstance(grows.passes, Chain) and grows.passes.changed:
            return [*rest, Lost(LOST_SIGNATURE)]
        return [*rest, event]

    def _cite(self, event: Cited) -> Cited:
        grows = self._growing.get(event.index)
        moved = grows is not None and isinstance(grows.passes, Chain) and grows.passes.changed
        citation = rewrite_citation(
            event.citation, lambda text: guard_text(self._guards, text), moved=moved
        )
        return Cited(event.index, citation)


def _grown(index: int, grows: _Grows, text: str) -> list[Event]:
    return [grows.event(index, text)] if text else []
