"""A conversation as Anthropic's `system` and `messages`.

Anthropic takes turns of the user and the assistant; equal ones that follow each other are one. The
results of tools stand first in the turn after their calls, all of them in one message.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torana.core.chat import (
    Audio,
    Document,
    HiddenThinking,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from torana.dialects.anthropic.blocks import (
    cited_text_block,
    document_block,
    fit_id,
    hidden_block,
    image_block,
    text_block,
    thinking_block,
    tool_result_block,
    tool_use_block,
)
from torana.dialects.losses import Losses

BEGINNING = "(The conversation begins with your message.)"
"""Said by the user where a conversation begins with the assistant, which Anthropic refuses."""
_INSTRUCTORS = frozenset({"system", "developer"})


class Turn:
    """One message as it is gathered.

    Attributes:
        role: `user`, `assistant` or `system`.
        blocks: contents.
    """

    def __init__(self, role: str, blocks: list[dict[str, Any]]) -> None:
        self.role = role
        self.blocks = blocks

    def kinds(self) -> list[str]:
        """The types of its blocks."""
        return [block["type"] for block in self.blocks]

    def written(self) -> dict[str, Any]:
        """The message; a single text is written as such."""
        return {"role": self.role, "content": content_of(self.blocks)}


def content_of(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Blocks as a content; a single text without anything else is written as such."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def write_turns(
    messages: Sequence[Message], lost: Losses, *, system_messages: bool
) -> tuple[list[dict[str, Any]], list[Turn]]:
    """The blocks of `system`, and the turns.

    Args:
        messages: of the call.
        lost: where to note what can't be said.
        system_messages: the model takes instructions in the middle.
    """
    first = next(
        (n for n, message in enumerate(messages) if message.role not in _INSTRUCTORS),
        len(messages),
    )
    if first == len(messages) and first:
        first -= 1  # Nothing but instructions: the last is what the model answers.
    for message in messages:
        lost.add_if("messages[].name", message.name)
    system = [block for message in messages[:first] for block in _instruction_blocks(message, lost)]
    turns: list[Turn] = []
    held: list[Turn] = []
    for message in messages[first:]:
        turn = _turn(message, lost, system_messages=system_messages and bool(turns))
        if turn.role == "system" and _awaits_results(turns):
            held.append(turn)  # Nothing may come between calls and their results.
            continue
        _append(turns, turn)
        if held and not _awaits_results(turns):
            for late in held:
                _append(turns, late)
            held = []
    for late in held:
        _append(turns, late)
    return system, _mended(turns)


def _instruction_blocks(message: Message, lost: Losses) -> list[dict[str, Any]]:
    return _blocks(message.parts, _INSTRUCTION_PARTS, lost)


def _turn(message: Message, lost: Losses, *, system_messages: bool) -> Turn:
    if message.role == "assistant":
        return Turn("assistant", _blocks(message.parts, _ASSISTANT_PARTS, lost))
    if message.role == "user":
        return Turn("user", _blocks(message.parts, _USER_PARTS, lost))
    blocks = _instruction_blocks(message, lost)
    if system_messages:
        return Turn("system", blocks)
    lost.add("system")
    if blocks:
        blocks = [text_block("<system>"), *blocks, text_block("</system>")]
        if len(blocks) == 3 and blocks[1].keys() == {"type", "text"}:
            blocks = [text_block(f"<system>\n{blocks[1]['text']}\n</system>")]
    return Turn("user", blocks)


def _append(turns: list[Turn], turn: Turn) -> None:
    if not turn.blocks:
        return
    if turns and turns[-1].role == turn.role:
        turns[-1].blocks += turn.blocks
    else:
        turns.append(turn)


def _awaits_results(turns: list[Turn]) -> bool:
    """Whether a call of the last answer has no result yet."""
    open_calls: set[str] = set()
    for turn in turns[-2:]:
        for block in turn.blocks:
            if block["type"] == "tool_use":
                open_calls.add(block["id"])
            elif block["type"] == "tool_result":
                open_calls.discard(block["tool_use_id"])
    return bool(open_calls)


def _mended(turns: list[Turn]) -> list[Turn]:
    """The turns in the order and form that Anthropic takes."""
    for before, turn in itertools.pairwise(turns):
        if turn.role == "user" and "tool_result" in turn.kinds():
            _put_results_first(before, turn)
    if turns and turns[0].role == "assistant":
        turns.insert(0, Turn("user", [text_block(BEGINNING)]))
    if turns and turns[-1].role == "assistant":
        _trim(turns[-1])
        if not turns[-1].blocks:
            turns.pop()
    return turns


def _put_results_first(before: Turn, turn: Turn) -> None:
    ids = [block["id"] for block in before.blocks if block["type"] == "tool_use"]
    order = {id_: n for n, id_ in enumerate(ids)}
    results = [block for block in turn.blocks if block["type"] == "tool_result"]
    results.sort(key=lambda block: order.get(block["tool_use_id"], len(order)))
    others = [block for block in turn.blocks if block["type"] != "tool_result"]
    turn.blocks = [*results, *others]


def _trim(turn: Turn) -> None:
    """A last answer, which the model goes on from, may not end with blanks."""
    last = turn.blocks[-1]
    if last["type"] == "text":
        last["text"] = last["text"].rstrip()
        if not last["text"]:
            turn.blocks.pop()


# --- which parts a message can have ------------------------------------------------------------

_INSTRUCTION_PARTS: tuple[type, ...] = (Text, Refusal)
_USER_PARTS: tuple[type, ...] = (Text, Refusal, Image, Document, ToolResult)
_ASSISTANT_PARTS: tuple[type, ...] = (Text, Refusal, Thinking, HiddenThinking, ToolCall)


def _blocks(parts: Sequence[Part], allowed: tuple[type, ...], lost: Losses) -> list[dict[str, Any]]:
    blocks = []
    for part in parts:
        if not isinstance(part, allowed):
            lost.add(_name_of(part))
            continue
        block = _block(part, lost)
        if block is not None:
            blocks.append(block)
    return blocks


def _name_of(part: Part) -> str:
    if isinstance(part, (Thinking, HiddenThinking)):
        return "thinking"
    return str(part.__struct_config__.tag)


def _block(part: Part, lost: Losses) -> dict[str, Any] | None:
    if isinstance(part, Text):
        # Anthropic refuses texts of nothing but blanks.
        return cited_text_block(part, lost) if part.text.strip() else None
    if isinstance(part, Refusal):
        return text_block(part.text) if part.text.strip() else None
    if isinstance(part, (Thinking, HiddenThinking)):
        return _thought(part, lost)
    if isinstance(part, ToolCall):
        lost.add_if("tool_call_id", fit_id(part.id) != part.id)
        return tool_use_block(part)
    return _brought(part, lost)


def _thought(part: Thinking | HiddenThinking, lost: Losses) -> dict[str, Any] | None:
    if part.vendor != "anthropic":
        lost.add("thinking")
        return None
    return thinking_block(part) if isinstance(part, Thinking) else hidden_block(part)


def _brought(part: Image | Document | Audio | ToolResult, lost: Losses) -> dict[str, Any] | None:
    if isinstance(part, Image):
        return image_block(part, lost)
    if isinstance(part, Document):
        return document_block(part, lost)
    if isinstance(part, ToolResult):
        return tool_result_block(part, lost)
    lost.add("audio")
    return None
