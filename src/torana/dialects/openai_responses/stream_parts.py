"""The parts of a streamed answer, as they begin, grow and end.

Look-alikes leave out what OpenAI sends twice. So a part begins with whatever speaks of it first,
and what its last event tells is compared with what has come.
"""

from __future__ import annotations

from typing import Any

from torana.core.chat import HiddenThinking, Part, Refusal, Text, Thinking, ToolCall, Vendor
from torana.core.events import (
    ArgumentsGrew,
    Cited,
    Event,
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
)
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.output import is_generated
from torana.dialects.openai_responses.parts import (
    BETWEEN_SUMMARIES,
    read_citation,
    read_thinking,
)
from torana.dialects.openai_responses.values import object_at, text_in

Key = tuple[int, int]
"""The index of an item, and of a part in it; `WHOLE` for an item that is one part."""
WHOLE = -1


class _Growing:
    """A part that has begun."""

    __slots__ = ("cited", "grown", "index", "part")

    def __init__(self, index: int, part: Part) -> None:
        self.index = index
        self.part = part
        self.grown = False
        self.cited = False


class StreamParts:
    """What has come so far.

    Attributes:
        begun: how many parts have begun.
        ended: the parts that have ended, as they began.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.ended: list[Part] = []
        self._growing: dict[Key, _Growing] = {}
        self._over: set[Key] = set()
        self._ids: dict[int, str | None] = {}
        self._lost = Losses()

    def end_all(self) -> list[Event]:
        """The parts that have not ended do."""
        return [event for key in sorted(self._growing) for event in self.end(key)]

    # --- parts ---------------------------------------------------------------------------------

    def begin(self, key: Key, part: Part) -> list[Event]:
        """A part begins, if it has not yet."""
        if key in self._growing or key in self._over:
            return []
        self._growing[key] = _Growing(self.begun, part)
        self.begun += 1
        return [PartBegan(self._growing[key].index, part)]

    def grow(self, key: Key, seed: Part, text: str) -> list[Event]:
        """A text or some thinking grows, and begins before if it has not yet."""
        events = self.begin(key, seed)
        growing = self._growing.get(key)
        if growing is not None and text:
            growing.grown = True
            events.append(TextGrew(growing.index, text))
        return events

    def grow_call(self, key: Key, text: str) -> list[Event]:
        """The arguments of a call grow."""
        growing = self._growing.get(key)
        if growing is None or not text:
            return []
        growing.grown = True
        return [ArgumentsGrew(growing.index, text)]

    def next_summary(self, key: Key) -> list[Event]:
        """Another text of a reasoning item begins."""
        growing = self._growing.get(key)
        if growing is None:
            return self.begin(key, self._thought(key))
        return [TextGrew(growing.index, BETWEEN_SUMMARIES)] if growing.grown else []

    def grow_thought(self, key: Key, text: str) -> list[Event]:
        """Thinking grows."""
        return self.grow(key, self._thought(key), text)

    def _thought(self, key: Key) -> Part:
        return Thinking("", id=self._ids.get(key[0]))

    def cite(self, key: Key, marks: list[Any]) -> list[Event]:
        """Annotations of a text."""
        growing = self._growing.get(key)
        if growing is None:
            return []
        events: list[Event] = []
        growing.cited = True
        for mark in marks:
            citation = read_citation(mark, "annotation")
            events += (
                self.lose("annotations") if citation is None else [Cited(growing.index, citation)]
            )
        return events

    def lose(self, name: str) -> list[Event]:
        """Something that no event can hold, told once."""
        return [Lost(self._lost.names[-1])] if self._lost.add(name) else []

    def end(self, key: Key) -> list[Event]:
        """A part has ended."""
        growing = self._growing.pop(key, None)
        if growing is None:
            return []
        self._over.add(key)
        self.ended.append(growing.part)
        return [PartEnded(growing.index)]

    def add_part(self, key: Key, part: dict[str, Any]) -> list[Event]:
        """A part of a message begins."""
        kind = part.get("type")
        if kind == "output_text":
            return self.begin(key, Text(""))
        if kind == "refusal":
            return self.begin(key, Refusal(""))
        return []

    def end_part(self, key: Key, part: dict[str, Any]) -> list[Event]:
        """A part of a message is told as it is at its end."""
        if key in self._over or part.get("type") not in ("output_text", "refusal"):
            return []
        events = self.add_part(key, part)
        growing = self._growing[key]
        if not growing.grown:
            text = part.get("refusal" if isinstance(growing.part, Refusal) else "text")
            events += self.grow(key, growing.part, text if isinstance(text, str) else "")
        marks = part.get("annotations")
        if not growing.cited and isinstance(marks, list):
            events += self.cite(key, marks)
        return events + self.end(key)

    # --- items ---------------------------------------------------------------------------------

    def add_item(self, key: Key, item: dict[str, Any]) -> list[Event]:
        """An item begins; a message and reasoning have parts that begin by themselves."""
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            return self.begin(key, _empty_call(item))
        if kind == "reasoning":
            # A signature belongs to its item's id, so the id must be known before it comes. An item
            # of another Torana says at once that it has no signature of OpenAI's.
            name = item.get("id")
            unsigned = item.get("encrypted_content", "") is None
            own = isinstance(name, str) and not (unsigned and is_generated(name))
            self._ids[key[0]] = name if own else None
            return []
        return [] if kind in ("message", None) else self.lose(f"output[].type={kind}")

    def end_item(self, key: Key, item: dict[str, Any]) -> list[Event]:
        """An item is told as it is at its end."""
        kind = item.get("type")
        if kind == "message":
            events: list[Event] = []
            content = item.get("content")
            for index, part in enumerate(content if isinstance(content, list) else ()):
                events += self.end_part((key[0], index), object_at(part, "part"))
            return events
        if key in self._over:
            return []
        if kind in ("function_call", "custom_tool_call"):
            return self._end_call(key, item)
        if kind == "reasoning":
            return self._end_thought(key, item)
        return self.lose(f"output[].type={kind}")

    def _end_call(self, key: Key, item: dict[str, Any]) -> list[Event]:
        events = self.begin(key, _empty_call(item))
        if not self._growing[key].grown:
            given = item.get("input" if item["type"] == "custom_tool_call" else "arguments")
            events += self.grow_call(key, given if isinstance(given, str) else "")
        return events + self.end(key)

    def _end_thought(self, key: Key, item: dict[str, Any]) -> list[Event]:
        thought = read_thinking(item, "item")
        growing = self._growing.get(key)
        if growing is None:
            if thought is None:
                return []
            if isinstance(thought, HiddenThinking):
                return self.begin(key, thought) + self.end(key)
        text = thought.text if isinstance(thought, Thinking) else ""
        whole = "" if growing is not None and growing.grown else text
        seed = Thinking("", id=thought.id if thought is not None else None)
        events = self.grow(key, seed, whole)
        sealed = _seal_of(thought)
        if sealed is not None:
            events.append(Signed(self._growing[key].index, *sealed))
        return events + self.end(key)


def _empty_call(item: dict[str, Any]) -> ToolCall:
    custom = item["type"] == "custom_tool_call"
    return ToolCall(text_in(item, "call_id", "item"), text_in(item, "name", "item"), "", custom)


def _seal_of(thought: Thinking | HiddenThinking | None) -> tuple[str, Vendor] | None:
    """A signature and who has signed."""
    if isinstance(thought, HiddenThinking):
        return thought.data, thought.vendor
    if thought is None or thought.signature is None or thought.vendor is None:
        return None
    return thought.signature, thought.vendor
