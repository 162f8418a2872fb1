"""What of a request bears on its cost; what it comes to is for `torana.ledger.bounds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from torana.dialects.anthropic.messages import (
    is_text,
    items_of,
    object_of,
    read_messages,
    read_system,
    text_of,
)
from torana.dialects.anthropic.rules import (
    CHEAP,
    CLIENT_TOOLS,
    OUTPUT_FIELDS,
    RULES,
    TOOL_FIELDS,
    Rule,
)
from torana.dialects.costs import BAD, CallCosts, Found, MediaNames, PromptTexts
from torana.dialects.wire import ABSENT, WireRequest, readable

NAMES = MediaNames(
    image="messages[].content[].type=image",
    file="messages[].content[].type=document",
    unseen_prompt="thread",
)


def read_costs(request: WireRequest) -> CallCosts:
    """Read what a request may cost; what can't be read has no rule.

    Raises:
        InvalidRequest: a key occurs twice in one object, where that could hide a cost.
    """
    costs = _read_costs(request)
    if costs.unruled:
        # Half characters keep a field from being read, and cost no more than others.
        better = readable(request)
        if better is not request:
            return _read_costs(better)
    return costs


def _read_costs(request: WireRequest) -> CallCosts:
    found = Found()
    for name, raw in request.fields.items():
        rule = RULES.get(name, Rule.NONE)
        if rule is Rule.FREE or rule is Rule.LIMIT:
            continue
        if len(raw) == 4 and bytes(raw) == b"null":
            continue  # As if it were not there.
        _READERS[rule](found, name, raw)
    return found.costs(
        max_output=request.max_output or None,
        # A limit of zero is obeyed here: the prompt is read into the cache and nothing written.
        no_output=request.max_output == 0,
        web_search=any(name.startswith("tools[].type=web_search") for name in found.unruled),
        names=NAMES,
    )


def _read_none(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.no_rule(name)
    # Should an administrator declare it free, what it adds to the prompt is still counted.
    found.text_bytes += len(raw)


def _read_prompt(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.text_bytes += len(raw)


def _read_choice(found: Found, name: str, raw: msgspec.Raw) -> None:
    value = text_of(raw)
    if name == "service_tier":
        found.service_tier = value
    if value is None:
        found.no_rule(name)
    elif value not in CHEAP[name]:
        found.no_rule(f"{name}={value}")


def _read_thread(found: Found, name: str, raw: msgspec.Raw) -> None:
    thread = object_of(raw, name) or {}
    kind = text_of(thread.get("type", ABSENT))
    if kind == "continue":
        found.unseen_prompt = True
    elif kind != "create":
        found.no_rule(name)


def _read_output(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.add_schema(raw)
    config = object_of(raw, name)
    if config is None:
        found.no_rule(name)
        return
    for key in config.keys() - OUTPUT_FIELDS:
        if bytes(config[key]) != b"null":
            found.no_rule(f"{name}.{key}")


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    """A tool of the caller's own, whichever of two equal keys is heeded."""

    name: msgspec.Raw = ABSENT
    input_schema: msgspec.Raw = ABSENT
    description: msgspec.Raw = ABSENT
    type: Literal["custom"] | None = None
    strict: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


_tools_decoder = msgspec.json.Decoder(list[_Tool])


def _read_tools(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.add_schema(raw)
    found.tools = True
    try:
        _tools_decoder.decode(raw)
    except BAD:
        _read_odd_tools(found, name, raw)


def _read_odd_tools(found: Found, name: str, raw: msgspec.Raw) -> None:
    items = items_of(raw)
    if items is None:
        found.no_rule(name)
        return
    for item in items:
        tool = object_of(item, name)
        if tool is None:
            found.no_rule(f"{name}[]")
        else:
            _read_tool(found, tool)


def _read_tool(found: Found, tool: dict[str, msgspec.Raw]) -> None:
    told = tool.get("type")
    kind = "custom" if told is None or bytes(told) == b"null" else text_of(told)
    if kind is None:
        found.no_rule("tools[].type")
        return
    added = CLIENT_TOOLS.get(kind)
    if added is None:
        found.no_rule(f"tools[].type={kind}")
        return
    # Tokens are bounded by bytes, so what the provider adds can stand beside them.
    found.text_bytes += added
    for key in tool.keys() - TOOL_FIELDS:
        if bytes(tool[key]) != b"null":
            found.no_rule(f"tools[].{key}")


_READERS: dict[Rule, Callable[[Found, str, msgspec.Raw], None]] = {
    Rule.MESSAGES: lambda found, _name, raw: read_messages(found, raw),
    Rule.SYSTEM: lambda found, _name, raw: read_system(found, raw),
    Rule.PROMPT: _read_prompt,
    Rule.TOOLS: _read_tools,
    Rule.OUTPUT: _read_output,
    Rule.CHOICE: _read_choice,
    Rule.THREAD: _read_thread,
    Rule.NONE: _read_none,
}


# --- exact counting ----------------------------------------------------------------------------

_KNOWN_SYNTAX = len('{"role":,"content":}')
_objects_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def prompt_texts(request: WireRequest, costs: CallCosts) -> PromptTexts:
    """The texts of a prompt, for exact counting.

    Args:
        request: the call.
        costs: what `read_costs` says of it.
    """
    try:
        messages = _objects_decoder.decode(request.fields.get("messages", ABSENT))
    except BAD:
        size = costs.text_bytes
        return PromptTexts(texts=(), messages=0, other_bytes=size, all_bytes=size)
    texts: list[str] = []
    system = _texts_of(request.fields.get("system", ABSENT))
    counted = _take(system, texts)
    for message in messages:
        raws = _texts_of(message.get("content", ABSENT))
        if raws and "role" in message:
            counted += _KNOWN_SYNTAX
        counted += _take(raws, texts)
    # Everything but these texts counts by its bytes, so a key that occurs twice hides nothing.
    return PromptTexts(
        texts=tuple(texts),
        messages=len(messages) + bool(system),
        other_bytes=costs.text_bytes - counted,
        all_bytes=costs.text_bytes,
    )


def _take(raws: list[msgspec.Raw], texts: list[str]) -> int:
    taken = 0
    for raw in raws:
        text = text_of(raw)
        if text is not None:
            texts.append(text)
            taken += len(raw)
    return taken


def _texts_of(content: msgspec.Raw) -> list[msgspec.Raw]:
    if len(content) == 0 or is_text(content):
        return [content] if len(content) else []
    try:
        blocks = _objects_decoder.decode(content)
    except BAD:
        return []
    raws: list[msgspec.Raw] = []
    for block in blocks:
        if "text" in block:
            raws.append(block["text"])
        elif "tool_use_id" in block and is_text(block.get("content", ABSENT)):
            raws.append(block["content"])
    return raws
