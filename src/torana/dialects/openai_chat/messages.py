"""The messages of a chat completion, as far as they bear on its cost.

Messages are forwarded as their caller wrote them, and a provider may heed another one of two equal
keys than we do. So they are read by types that check every occurrence of a key, or searched for
keys that occur twice.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from torana.dialects.costs import BAD, Found, objects
from torana.dialects.openai_chat.rules import PART_TYPES, PartType
from torana.dialects.wire import ABSENT

_HEAD = 200
"""So much of an image's URL says what it is."""
_IMAGE_PAYLOAD = re.compile(rb'"data:image\\?/[^,"]{1,100},')
_ESCAPED_LETTER = re.compile(rb"\\u00(?:4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")


class _TextPart(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "refusal"]
    text: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    prompt_cache_breakpoint: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


class _TextMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message that holds nothing but text, whichever of two equal keys is heeded."""

    role: msgspec.Raw = ABSENT
    content: str | list[_TextPart] | None = None
    name: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    tool_call_id: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning_details: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT
    audio: None = None


class _ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    url: msgspec.Raw = ABSENT
    detail: msgspec.Raw = ABSENT


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: PartType
    text: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    image_url: _ImageUrl | str | msgspec.UnsetType = msgspec.UNSET
    input_audio: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    file: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    prompt_cache_breakpoint: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


class _MediaMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message that may hold anything that has a rule."""

    role: msgspec.Raw = ABSENT
    content: str | list[_Part] | msgspec.UnsetType | None = msgspec.UNSET
    name: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    tool_call_id: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning_details: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT
    audio: None = None


_text_decoder = msgspec.json.Decoder(list[_TextMessage])
_media_decoder = msgspec.json.Decoder(list[_MediaMessage])


def read_messages(found: Found, raw: msgspec.Raw) -> None:
    """Note what the `messages` of a request bear on its cost."""
    found.text_bytes += len(raw)
    try:
        _text_decoder.decode(raw)
    except BAD:
        pass
    else:
        return
    try:
        messages = _media_decoder.decode(raw)
    except BAD:
        _read_odd_messages(found, raw)
        return
    if _may_have_twins(bytes(raw), messages):
        _read_odd_messages(found, raw)
        return
    for message in messages:
        if isinstance(message.content, list):
            for part in message.content:
                _read_part(found, part)


def _may_have_twins(raw: bytes, messages: list[_MediaMessage]) -> bool:
    """Whether a key of a message may occur twice; text that looks like one is searched in vain."""
    contents = sum(message.content is not msgspec.UNSET for message in messages)
    if raw.count(b'"content"') != contents:
        return True
    return b"\\u00" in raw and _ESCAPED_LETTER.search(raw) is not None


def _read_part(found: Found, part: _Part) -> None:
    if part.input_audio is not msgspec.UNSET or part.type == "input_audio":
        found.audio_in = True
    if part.file is not msgspec.UNSET or part.type == "file":
        found.files += 1
    image = part.image_url
    if isinstance(image, _ImageUrl):
        _read_image(found, bytes(memoryview(image.url)[:_HEAD]), len(image.url) - 1)
    elif isinstance(image, str):
        _read_image_text(found, image)
    elif part.type == "image_url":
        found.images += 1


def _read_image_text(found: Found, url: str) -> None:
    _read_image(found, b'"' + url[:_HEAD].encode("utf-8", "replace"), len(url) + 1)


def _read_image(found: Found, head: bytes, end: int) -> None:
    """Count an image; its data, which ends at `end` of the quoted URL, is not text."""
    payload = _IMAGE_PAYLOAD.match(head)
    if payload is not None:
        found.images += 1
        found.text_bytes -= max(end - payload.end(), 0)
    elif head[:6].lower() == b'"data:':
        found.files += 1  # A document in the clothes of an image.
    else:
        found.images += 1


def _read_odd_messages(found: Found, raw: msgspec.Raw) -> None:
    """Messages with something unknown in them, or with what the quick way can't be sure of."""
    messages = objects(raw, "messages")
    if messages is None:
        found.no_rule("messages")
        return
    for message in messages:
        for key, value in message.items():
            if key not in _TextMessage.__struct_fields__ and value is not None:
                found.no_rule(f"messages[].{key}")
        if message.get("audio") is not None:
            found.audio_in = True
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                _read_odd_part(found, part)
        elif content is not None and not isinstance(content, str):
            found.no_rule("messages[].content")


def _read_odd_part(found: Found, part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        found.no_rule("messages[].content[]")
        return
    kind = part["type"]
    if kind in PART_TYPES:
        for key, value in part.items():
            if key not in _Part.__struct_fields__ and value is not None:
                found.no_rule(f"messages[].content[].{key}")
    else:
        found.no_rule(f"messages[].content[].type={kind}")
    if kind == "input_audio" or part.get("input_audio") is not None:
        found.audio_in = True
    if kind == "file" or part.get("file") is not None:
        found.files += 1
    image = part.get("image_url")
    if kind == "image_url" or image is not None:
        url = image.get("url") if isinstance(image, dict) else image
        _read_image_text(found, url if isinstance(url, str) else "")
