"""What of a chat completion bears on its cost; what it comes to is for `torana.ledger.bounds`.

What has no rule is named, never passed over: a provider's new field may cost anything. A prompt is
bounded by the bytes of the fields that become part of it, because a token stands for at least one
byte, and JSON only adds to the bytes of a text.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.dialects.costs import BAD, CallCosts, Found, PromptTexts, objects
from torana.dialects.openai_chat.messages import read_messages
from torana.dialects.openai_chat.rules import RULES, TIERS, TOOL_TYPES, Rule, ToolType
from torana.dialects.wire import ABSENT, WireRequest


def read_costs(request: WireRequest) -> CallCosts:
    """Read what a request may cost; never fails, what can't be read has no rule."""
    found = Found()
    for name, raw in request.fields.items():
        rule = RULES.get(name, Rule.NONE)
        if rule is Rule.FREE or rule is Rule.LIMIT:
            continue
        if len(raw) == 4 and bytes(raw) == b"null":
            continue  # As if it were not there.
        _READERS[rule](found, name, raw)
    return found.costs(
        choices=request.choices,
        max_output=request.max_output or None,
        web_search="web_search_options" in found.unruled,
    )


# --- top-level fields --------------------------------------------------------------------------


def _read_none(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.no_rule(name)
    # Should an administrator declare it free, what it adds to the prompt is still counted.
    found.text_bytes += len(raw)


def _read_prompt(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.text_bytes += len(raw)


def _read_schema(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.add_schema(raw)
    if name == "functions":
        found.tools = True


def _read_prediction(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.prediction_bytes += len(raw)


def _read_audio(found: Found, _name: str, _raw: msgspec.Raw) -> None:
    found.audio_out = True


def _read_tier(found: Found, name: str, raw: msgspec.Raw) -> None:
    try:
        found.service_tier = msgspec.json.decode(raw, type=str)
    except BAD:
        found.no_rule(name)
        return
    if found.service_tier not in TIERS:
        found.no_rule(f"{name}={found.service_tier}")


def _read_modalities(found: Found, name: str, raw: msgspec.Raw) -> None:
    try:
        modalities = msgspec.json.decode(raw, type=list[str])
    except BAD:
        found.no_rule(name)
        return
    for modality in modalities:
        if modality == "audio":
            found.audio_out = True
        elif modality != "text":
            found.no_rule(f"{name}={modality}")


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: ToolType
    function: msgspec.Raw = ABSENT
    custom: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


_tools_decoder = msgspec.json.Decoder(list[_Tool])


def _read_tools(found: Found, name: str, raw: msgspec.Raw) -> None:
    _read_schema(found, name, raw)
    found.tools = True
    try:
        _tools_decoder.decode(raw)
    except BAD:
        _explain_tools(found, raw)


def _explain_tools(found: Found, raw: msgspec.Raw) -> None:
    before = len(found.unruled)
    tools = objects(raw, "tools")
    for tool in tools or ():
        kind = tool.get("type")
        if not isinstance(kind, str):
            found.no_rule("tools[].type")
            continue
        if kind not in TOOL_TYPES:
            found.no_rule(f"tools[].type={kind}")
        for key in tool.keys() - _Tool.__struct_fields__:
            if kind in TOOL_TYPES:
                found.no_rule(f"tools[].{key}")
    if len(found.unruled) == before:
        found.no_rule("tools")


_READERS: dict[Rule, Callable[[Found, str, msgspec.Raw], None]] = {
    Rule.MESSAGES: lambda found, _name, raw: read_messages(found, raw),
    Rule.PROMPT: _read_prompt,
    Rule.SCHEMA: _read_schema,
    Rule.TOOLS: _read_tools,
    Rule.PREDICTION: _read_prediction,
    Rule.TIER: _read_tier,
    Rule.MODALITIES: _read_modalities,
    Rule.AUDIO: _read_audio,
    Rule.NONE: _read_none,
}


# --- exact counting ----------------------------------------------------------------------------

_KNOWN_SYNTAX = len('{"role":,"content":}')


def prompt_texts(request: WireRequest, costs: CallCosts) -> PromptTexts:
    """The texts of a prompt, for exact counting.

    Args:
        request: the call.
        costs: what `read_costs` says of it.
    """
    try:
        messages = _fields_decoder.decode(request.fields.get("messages", ABSENT))
    except BAD:
        size = costs.text_bytes
        return PromptTexts(texts=(), messages=0, other_bytes=size, all_bytes=size)
    texts: list[str] = []
    counted = 0
    for message in messages:
        raws = _texts_of(message.get("content", ABSENT))
        if raws and "role" in message:
            counted += _KNOWN_SYNTAX
        for raw in raws:
            try:
                texts.append(msgspec.json.decode(raw, type=str))
            except BAD:
                continue  # No text: by its bytes.
            counted += len(raw)
    # Everything but these texts counts by its bytes, so a key that occurs twice hides nothing.
    return PromptTexts(
        texts=tuple(texts),
        messages=len(messages),
        other_bytes=costs.text_bytes - counted,
        all_bytes=costs.text_bytes,
    )


_fields_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def _texts_of(content: msgspec.Raw) -> list[msgspec.Raw]:
    if bytes(memoryview(content)[:1]) != b"[":
        return [content] if len(content) else []
    try:
        parts = _fields_decoder.decode(content)
    except BAD:
        return []
    return [part["text"] for part in parts if "text" in part]
