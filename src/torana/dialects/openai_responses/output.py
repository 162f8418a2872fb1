"""The parts of a reply as the items of a response's output.

Texts and refusals that follow one another are the content of one message. The place of a part among
the items depends on the parts before it only, so a stream can tell it when the part begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from torana.core.chat import HiddenThinking, Part, Refusal, Text, Thinking, ToolCall
from torana.dialects import signatures
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.writing_items import annotations_of, note_unsayable

_GENERATED = re.compile(r"rs_.+_\d+")
_ITEM = re.compile(r"(?:msg|rs|fc|ctc)_(.+)_\d+")


class Place(msgspec.Struct, frozen=True):
    """Where a part stands.

    Attributes:
        item_id: of its item.
        output: the item's index.
        content: its index in the message; 0 where the item is not a message.
    """

    item_id: str
    output: int
    content: int = 0


class Places:
    """Gives parts their places, in the order in which they come.

    Args:
        request_id: which the ids of items are made of.
    """

    def __init__(self, request_id: str) -> None:
        self._suffix = suffix_of(request_id)
        self._count = 0
        self._used: set[str] = set()
        self._last: Place | None = None
        """Of the part before, where it is a message's."""

    def next(self, part: Part) -> Place | None:
        """The place of a part; None for one that an answer can't hold."""
        if isinstance(part, (Text, Refusal)):
            if self._last is None:
                self._last = self._new("msg")
            else:
                last = self._last
                self._last = Place(last.item_id, last.output, last.content + 1)
            return self._last
        if isinstance(part, (Thinking, HiddenThinking)):
            self._last = None
            return self._new("rs", part.id)
        if isinstance(part, ToolCall):
            self._last = None
            return self._new("ctc" if part.custom else "fc")
        return None

    def _new(self, prefix: str, id_: str | None = None) -> Place:
        index = self._count
        self._count += 1
        item_id = id_ if id_ and id_ not in self._used else f"{prefix}_{self._suffix}_{index}"
        self._used.add(item_id)
        return Place(item_id, index)


def is_generated(item_id: str) -> bool:
    """Whether an id of a reasoning item looks like one that we have made; OpenAI's do not."""
    return _GENERATED.fullmatch(item_id) is not None


def suffix_of(request_id: str) -> str:
    """What ids are made of: the request's id without its own prefix."""
    return request_id.removeprefix("req_")


def response_id_of(item_id: str) -> str | None:
    """The id of the response that an item of ours belongs to; None for an item of others."""
    made = _ITEM.fullmatch(item_id)
    return None if made is None else f"resp_{made[1]}"


def write_output(
    parts: Sequence[Part], request_id: str, lost: Losses, *, complete: bool = True
) -> list[dict[str, Any]]:
    """The items of a reply.

    Args:
        parts: of the reply.
        request_id: which the ids of items are made of.
        lost: gets the names of what can't be said.
        complete: whether the reply has come to its end.
    """
    places = Places(request_id)
    items: list[dict[str, Any]] = []
    for part in parts:
        place = places.next(part)
        if place is None:
            note_unsayable(part, lost)
        elif isinstance(part, (Text, Refusal)):
            if place.content == 0:
                items.append(message_item(place, "completed"))
            items[-1]["content"].append(content_part(part, lost))
        elif isinstance(part, ToolCall):
            items.append(call_item(part, place, "completed"))
        elif isinstance(part, (Thinking, HiddenThinking)):
            items.append(thinking_item(part, place))
    if not complete and items and items[-1]["type"] == "message":
        items[-1]["status"] = "incomplete"
    return items


def message_item(place: Place, status: str) -> dict[str, Any]:
    """A message without its content."""
    return {
        "id": place.item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [],
    }


def content_part(part: Text | Refusal, lost: Losses) -> dict[str, Any]:
    """A part of a message."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {
        "type": "output_text",
        "text": part.text,
        "annotations": annotations_of(part.text, part.citations, lost),
        "logprobs": [],
    }


def call_item(part: ToolCall, place: Place, status: str) -> dict[str, Any]:
    """A call of one of the caller's tools."""
    return {
        "id": place.item_id,
        "type": "custom_tool_call" if part.custom else "function_call",
        "status": status,
        "call_id": part.id,
        "name": part.name,
        "input" if part.custom else "arguments": part.arguments,
    }


def thinking_item(part: Thinking | HiddenThinking, place: Place) -> dict[str, Any]:
    """A reasoning item.

    OpenAI's own signature stands as it is, under its item's id; any other in an envelope, which
    comes back in the history of the next request.
    """
    item: dict[str, Any] = {"id": place.item_id, "type": "reasoning", "summary": []}
    if isinstance(part, Thinking):
        item["summary"].append({"type": "summary_text", "text": part.text})
        value = part.signature
    else:
        value = part.data
    if value is None or part.vendor is None:
        item["encrypted_content"] = None
    elif part.vendor == "openai" and part.id is not None:
        item["encrypted_content"] = value
    else:
        item["encrypted_content"] = signatures.pack(part.vendor, part.id, value)
    return item


def thinking_seed(part: Part, place: Place) -> dict[str, Any]:
    """A reasoning item that has just begun.

    OpenAI's own has an id that its signature, yet to come, is bound to. Of another it is said at
    once that it has none, so that its id is not taken for one of OpenAI's.
    """
    item: dict[str, Any] = {"id": place.item_id, "type": "reasoning", "summary": []}
    if not isinstance(part, (Thinking, HiddenThinking)) or part.id is None:
        item["encrypted_content"] = None
    return item
