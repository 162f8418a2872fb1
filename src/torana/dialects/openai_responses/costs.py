"""What of a Responses request bears on its cost; what it comes to is for `torana.ledger.bounds`.

What has no rule is named, never passed over: a provider's new field may cost anything.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.dialects.costs import BAD, CallCosts, Found, MediaNames, PromptTexts, objects
from torana.dialects.openai_responses.cost_items import read_input
from torana.dialects.openai_responses.rules import RULES, TIERS, TOOL_TYPES, Rule, ToolType
from torana.dialects.wire import ABSENT, WireRequest

NAMES = MediaNames(
    image="input[].content[].type=input_image",
    file="input[].content[].type=input_file",
    audio_in="input[].content[].type=input_audio",
)


def read_costs(request: WireRequest) -> CallCosts:
    """Read what a request may cost; what can't be read has no rule.

    Raises:
        InvalidRequest: a key that is priced occurs twice in one object.
    """
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
        web_search=any(name.startswith("tools[].type=web_search") for name in found.unruled),
        names=NAMES,
    )


# --- top-level fields --------------------------------------------------------------------------


def _read_none(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.no_rule(name)
    # Should an administrator declare it free, what it adds to the prompt is still counted.
    found.text_bytes += len(raw)


def _read_prompt(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.text_bytes += len(raw)


def _read_schema(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.add_schema(raw)


def _read_unseen(found: Found, _name: str, _raw: msgspec.Raw) -> None:
    found.unseen_prompt = True


def _read_template(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.unseen_prompt = True
    _read_none(found, name, raw)


def _read_tier(found: Found, name: str, raw: msgspec.Raw) -> None:
    try:
        found.service_tier = msgspec.json.decode(raw, type=str)
    except BAD:
        found.no_rule(name)
        return
    if found.service_tier not in TIERS:
        found.no_rule(f"{name}={found.service_tier}")


class _Reasoning(msgspec.Struct):
    mode: msgspec.Raw = ABSENT


def _read_reasoning(found: Found, name: str, raw: msgspec.Raw) -> None:
    # A key that occurs twice is found by its count; the text is short and has few keys.
    try:
        mode = msgspec.json.decode(raw, type=_Reasoning).mode
    except BAD:
        found.no_rule(name)
        return
    usual = bytes(mode) in {b"", b"null", b'"standard"'}
    if not usual or bytes(raw).count(b'"mode"') > 1 or b"\\u" in bytes(raw):
        found.no_rule("reasoning.mode")


class _Tool(msgspec.Struct, forbid_unknown_fields=True, rename={"is_async": "async"}):
    type: ToolType
    name: msgspec.Raw = ABSENT
    description: msgspec.Raw = ABSENT
    parameters: msgspec.Raw = ABSENT
    strict: msgspec.Raw = ABSENT
    format: msgspec.Raw = ABSENT
    output_schema: msgspec.Raw = ABSENT
    allowed_callers: msgspec.Raw = ABSENT
    defer_loading: msgspec.Raw = ABSENT
    is_async: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


TOOL_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(_Tool))
_tools_decoder = msgspec.json.Decoder(list[_Tool])


def _read_tools(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.add_schema(raw)
    found.tools = True
    try:
        _tools_decoder.decode(raw)  # It checks each of two equal keys.
    except BAD:
        _explain_tools(found, raw)


def _explain_tools(found: Found, raw: msgspec.Raw) -> None:
    before = len(found.unruled)
    for tool in objects(raw, "tools") or ():
        kind = tool.get("type")
        if not isinstance(kind, str) or kind not in TOOL_TYPES:
            found.no_rule(f"tools[].type={kind}" if isinstance(kind, str) else "tools[].type")
            continue
        for key in tool.keys() - TOOL_KEYS:
            found.no_rule(f"tools[].{key}")
    if len(found.unruled) == before:
        found.no_rule("tools")


_READERS: dict[Rule, Callable[[Found, str, msgspec.Raw], None]] = {
    Rule.INPUT: lambda found, _name, raw: read_input(found, raw),
    Rule.PROMPT: _read_prompt,
    Rule.SCHEMA: _read_schema,
    Rule.TOOLS: _read_tools,
    Rule.TIER: _read_tier,
    Rule.UNSEEN: _read_unseen,
    Rule.TEMPLATE: _read_template,
    Rule.REASONING: _read_reasoning,
    Rule.NONE: _read_none,
}


# --- exact counting ----------------------------------------------------------------------------

_KNOWN_SYNTAX = len('{"role":,"content":}')
_fields_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def prompt_texts(request: WireRequest, costs: CallCosts) -> PromptTexts:
    """The texts of a prompt, for exact counting.

    Args:
        request: the call.
        costs: what `read_costs` says of it.
    """
    texts: list[str] = []
    counted = messages = 0
    for raw in (request.fields.get("instructions"), request.fields.get("input")):
        if raw is not None and bytes(memoryview(raw)[:1]) == b'"':
            counted += _add_text(texts, raw)
            messages += 1
    for item in _items_of(request.fields.get("input", ABSENT)):
        messages += 1
        content = item.get("content", item.get("output", ABSENT))
        raws = _texts_of(content)
        if raws and "role" in item:
            counted += _KNOWN_SYNTAX
        counted += sum(_add_text(texts, raw) for raw in raws)
    # Everything but these texts counts by its bytes, so a key that occurs twice hides nothing.
    return PromptTexts(
        texts=tuple(texts),
        messages=messages,
        other_bytes=costs.text_bytes - counted,
        all_bytes=costs.text_bytes,
    )


def _add_text(texts: list[str], raw: msgspec.Raw) -> int:
    """Note a text; the bytes that it stands for."""
    try:
        texts.append(msgspec.json.decode(raw, type=str))
    except BAD:
        return 0  # No text: by its bytes.
    return len(raw)


def _items_of(raw: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    try:
        return _fields_decoder.decode(raw)
    except BAD:
        return []


def _texts_of(content: msgspec.Raw) -> list[msgspec.Raw]:
    if bytes(memoryview(content)[:1]) != b"[":
        return [content]
    return [part["text"] for part in _items_of(content) if "text" in part]
