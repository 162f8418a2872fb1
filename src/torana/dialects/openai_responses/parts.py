"""What the model has said, item by item: the same in an answer and in the history of a request."""

from __future__ import annotations

from typing import Any

from torana.core.chat import (
    Citation,
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.dialects import signatures
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.values import (
    list_at,
    maybe_text_in,
    object_at,
    text_in,
)

BETWEEN_SUMMARIES = "\n\n"
"""Stands between the texts of a reasoning item, which are one text elsewhere."""


def read_thinking(item: dict[str, Any], where: str) -> Thinking | HiddenThinking | None:
    """A reasoning item; None when it holds nothing.

    An item without any summary is hidden; one whose summary is an empty text is thinking that has
    nothing but its signature. Another vendor's signature comes in an envelope.

    Raises:
        InvalidRequest: it is malformed.
    """
    texts = [
        text_in(object_at(held, f"{where}.{name}[{index}]"), "text", f"{where}.{name}[{index}]")
        for name in ("content", "summary")
        for index, held in enumerate(list_at(item.get(name) or [], f"{where}.{name}"))
    ]
    sealed = maybe_text_in(item, "encrypted_content", where)
    text = BETWEEN_SUMMARIES.join(texts)
    if not sealed:
        return Thinking(text) if text else None
    vendor, id_, value = signatures.unpack(sealed) or (
        "openai",
        maybe_text_in(item, "id", where),
        sealed,
    )
    if not texts:
        return HiddenThinking(value, vendor, id_)
    return Thinking(text, value, vendor, id_)


def read_said(part: dict[str, Any], where: str, lost: Losses) -> Text | Refusal | None:
    """A part of an assistant's message; None for what can't be held, which is named.

    Raises:
        InvalidRequest: it is malformed.
    """
    kind = text_in(part, "type", where)
    if kind == "refusal":
        return Refusal(text_in(part, "refusal", where))
    if kind in {"output_text", "input_text", "text"}:
        marks = list_at(part.get("annotations") or [], f"{where}.annotations")
        cited = [read_citation(mark, f"{where}.annotations[{n}]") for n, mark in enumerate(marks)]
        if None in cited:
            lost.add("annotations")
        return Text(text_in(part, "text", where), tuple(mark for mark in cited if mark is not None))
    lost.add(f"content[].type={kind}")
    return None


def read_citation(mark: Any, where: str) -> Citation | None:
    """An annotation of a text; None for one that is not of a page of the web.

    Raises:
        InvalidRequest: it is malformed.
    """
    found = object_at(mark, where)
    if found.get("type") != "url_citation":
        return None
    start, end = found.get("start_index"), found.get("end_index")
    return UrlCitation(
        text_in(found, "url", where),
        maybe_text_in(found, "title", where) or None,
        start if isinstance(start, int) else 0,
        end if isinstance(end, int) else 0,
    )


def read_tool_call(item: dict[str, Any], where: str, lost: Losses) -> ToolCall:
    """A call of one of the caller's tools.

    Raises:
        InvalidRequest: it is malformed.
    """
    custom = item["type"] == "custom_tool_call"
    given = text_in(item, "input" if custom else "arguments", where)
    if item.get("namespace") is not None:
        lost.add("namespace")
    return ToolCall(
        text_in(item, "call_id", where),
        text_in(item, "name", where),
        given if given or custom else "{}",
        custom,
    )


def read_answer_item(value: Any, where: str, lost: Losses) -> list[Part]:
    """The parts of an item that the model has made; what can't be held is named.

    Raises:
        InvalidRequest: it is malformed.
    """
    item = object_at(value, where)
    kind = text_in(item, "type", where)
    if kind == "message":
        content = list_at(item.get("content"), f"{where}.content")
        said = [
            read_said(object_at(part, f"{where}.content[{n}]"), f"{where}.content[{n}]", lost)
            for n, part in enumerate(content)
        ]
        return [part for part in said if part is not None]
    if kind == "reasoning":
        thought = read_thinking(item, where)
        return [] if thought is None else [thought]
    if kind in {"function_call", "custom_tool_call"}:
        return [read_tool_call(item, where, lost)]
    lost.add(f"output[].type={kind}")
    return []
