"""What of a chat completion bears on its cost; what it comes to is for `torana.ledger.bounds`.

What has no rule is named, never passed over: a provider's new field may cost anything. A prompt is
bounded by the bytes of the fields that become part of it, because a token stands for at least one
byte, and JSON only adds to the bytes of a text.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.dialects.openai_chat import ChatRequest
from torana.dialects.openai_chat_messages import Found, objects, read_messages
from torana.dialects.openai_chat_rules import RULES, TIERS, TOOL_TYPES, Rule, ToolType

_ABSENT = msgspec.Raw()
_BAD = (msgspec.DecodeError, ValueError, RecursionError)
_SCHEMA_EXPANSION = 3
"""A provider may write a schema with escapes: two bytes of `é` become the six of `\\u00e9`."""
_MAX_NAMES = 16
AND_MORE = "..."
"""The last name of a list that was cut; no administrator can declare it free."""


class ChatCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request bears on its cost.

    Attributes:
        text_bytes: of what becomes part of the prompt, without the data of images.
        images: pieces in the prompt.
        files: pieces in the prompt, by reference or as data.
        audio_in: there is audio in the prompt, by reference or as data.
        tools: tools are offered, which a provider may explain to the model in words of its own.
        choices: how many answers are asked for.
        max_output: the caller's limit on output tokens per choice. A limit of zero is none: some
            servers take it for absent.
        audio_out: the answer may be audio.
        prediction_bytes: of a predicted output.
        service_tier: as asked for.
        web_search: the provider is asked to search.
        unruled: names of what has no rule, such as `messages[].content[].type=video_url`.
    """

    text_bytes: int
    images: int = 0
    files: int = 0
    audio_in: bool = False
    tools: bool = False
    choices: int = 1
    max_output: int | None = None
    audio_out: bool = False
    prediction_bytes: int = 0
    service_tier: str | None = None
    web_search: bool = False
    unruled: tuple[str, ...] = ()


def read_costs(request: ChatRequest) -> ChatCosts:
    """Read what a request may cost; never fails, what can't be read has no rule."""
    found = Found()
    for name, raw in request.fields.items():
        rule = RULES.get(name, Rule.NONE)
        if rule is Rule.FREE or rule is Rule.LIMIT:
            continue
        if len(raw) == 4 and bytes(raw) == b"null":
            continue  # As if it were not there.
        _READERS[rule](found, name, raw)
    return ChatCosts(
        text_bytes=found.text_bytes,
        images=found.images,
        files=found.files,
        audio_in=found.audio_in,
        tools=found.tools,
        choices=request.choices,
        max_output=request.max_output or None,
        audio_out=found.audio_out,
        prediction_bytes=found.prediction_bytes,
        service_tier=found.service_tier,
        web_search="web_search_options" in found.unruled,
        unruled=_cut(found.unruled) if found.unruled else (),
    )


def _cut(names: dict[str, None]) -> tuple[str, ...]:
    listed = tuple(names)
    return listed if len(listed) <= _MAX_NAMES else (*listed[:_MAX_NAMES], AND_MORE)


# --- top-level fields --------------------------------------------------------------------------


def _read_none(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.no_rule(name)
    # Should an administrator declare it free, what it adds to the prompt is still counted.
    found.text_bytes += len(raw)


def _read_prompt(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.text_bytes += len(raw)


def _read_schema(found: Found, name: str, raw: msgspec.Raw) -> None:
    found.text_bytes += len(raw) * (1 if bytes(raw).isascii() else _SCHEMA_EXPANSION)
    if name == "functions":
        found.tools = True


def _read_prediction(found: Found, _name: str, raw: msgspec.Raw) -> None:
    found.prediction_bytes += len(raw)


def _read_audio(found: Found, _name: str, _raw: msgspec.Raw) -> None:
    found.audio_out = True


def _read_tier(found: Found, name: str, raw: msgspec.Raw) -> None:
    try:
        found.service_tier = msgspec.json.decode(raw, type=str)
    except _BAD:
        found.no_rule(name)
        return
    if found.service_tier not in TIERS:
        found.no_rule(f"{name}={found.service_tier}")


def _read_modalities(found: Found, name: str, raw: msgspec.Raw) -> None:
    try:
        modalities = msgspec.json.decode(raw, type=list[str])
    except _BAD:
        found.no_rule(name)
        return
    for modality in modalities:
        if modality == "audio":
            found.audio_out = True
        elif modality != "text":
            found.no_rule(f"{name}={modality}")


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: ToolType
    function: msgspec.Raw = _ABSENT
    custom: msgspec.Raw = _ABSENT
    cache_control: msgspec.Raw = _ABSENT


_tools_decoder = msgspec.json.Decoder(list[_Tool])


def _read_tools(found: Found, name: str, raw: msgspec.Raw) -> None:
    _read_schema(found, name, raw)
    found.tools = True
    try:
        _tools_decoder.decode(raw)
    except _BAD:
        _explain_tools(found, raw)


def _explain_tools(found: Found, raw: msgspec.Raw) -> None:
    before = len(found.unruled)
    tools = objects(raw)
    for tool in tools or ():
        kind = tool.get("type")
        if kind not in TOOL_TYPES:
            found.no_rule(f"tools[].type={kind}" if isinstance(kind, str) else "tools[].type")
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


class PromptTexts(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt for a tokenizer.

    Attributes:
        texts: contents of messages.
        messages: how many there are; each has a role and marks around it.
        other_bytes: of everything else that becomes part of the prompt (names, tool calls, tools,
            schemas): what a provider makes of it is not public, so it is bounded by its bytes.
        all_bytes: of the texts and everything else, as they were sent.
    """

    texts: tuple[str, ...]
    messages: int
    other_bytes: int
    all_bytes: int


def prompt_texts(request: ChatRequest, costs: ChatCosts) -> PromptTexts:
    """The texts of a prompt, for exact counting.

    Args:
        request: the call.
        costs: what `read_costs` says of it.
    """
    try:
        messages = _fields_decoder.decode(request.fields.get("messages", _ABSENT))
    except _BAD:
        size = costs.text_bytes
        return PromptTexts(texts=(), messages=0, other_bytes=size, all_bytes=size)
    texts: list[str] = []
    counted = 0
    for message in messages:
        raws = _texts_of(message.get("content", _ABSENT))
        if raws and "role" in message:
            counted += _KNOWN_SYNTAX
        for raw in raws:
            try:
                texts.append(msgspec.json.decode(raw, type=str))
            except _BAD:
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
        return [content]
    try:
        parts = _fields_decoder.decode(content)
    except _BAD:
        return []
    return [part["text"] for part in parts if "text" in part]
