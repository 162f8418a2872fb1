"""The input of a Responses request, as far as it bears on its cost.

Items are forwarded as their caller wrote them, and a provider may heed another one of two equal
keys than we do. So they are read by types that check every occurrence of a key, or searched for
keys that occur twice.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from torana.dialects.costs import BAD, Found, objects
from torana.dialects.openai_responses.rules import ITEMS, PART_TYPES, BytesItem, ItemRule, PartType
from torana.dialects.wire import ABSENT

_HEAD = 200
"""So much of an image's URL says what it is."""
_IMAGE_PAYLOAD = re.compile(rb'"data:image\\?/[^,"]{1,100},')
_ESCAPED_LETTER = re.compile(rb"\\u00(?:4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")


class _TextPart(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["input_text", "output_text", "refusal", "summary_text", "reasoning_text"]
    text: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT
    prompt_cache_breakpoint: msgspec.Raw = ABSENT


class _Item(msgspec.Struct, forbid_unknown_fields=True, rename={"is_async": "async"}):
    """The keys of all items that count by their bytes."""

    type: BytesItem | msgspec.UnsetType = msgspec.UNSET
    role: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    phase: msgspec.Raw = ABSENT
    call_id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    namespace: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    caller: msgspec.Raw = ABSENT
    is_async: msgspec.Raw = ABSENT
    summary: msgspec.Raw = ABSENT
    encrypted_content: str | msgspec.UnsetType | None = msgspec.UNSET
    action: msgspec.Raw = ABSENT
    environment: msgspec.Raw = ABSENT
    max_output_length: msgspec.Raw = ABSENT
    operation: msgspec.Raw = ABSENT
    server_label: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    execution: msgspec.Raw = ABSENT


class _TextItem(_Item, forbid_unknown_fields=True):
    """An item that holds nothing but text, whichever of two equal keys is heeded."""

    content: str | list[_TextPart] | None = None
    output: str | list[_TextPart] | None = None


class _Part(_TextPart, forbid_unknown_fields=True):
    type: PartType  # type: ignore[assignment] # One of two sets of names.
    detail: msgspec.Raw = ABSENT
    file_id: msgspec.Raw = ABSENT
    image_url: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT
    file_url: msgspec.Raw = ABSENT
    filename: msgspec.Raw = ABSENT
    input_audio: msgspec.Raw = ABSENT


class _MediaItem(_Item, forbid_unknown_fields=True):
    """An item that may hold anything that has a rule."""

    content: str | list[_Part] | msgspec.UnsetType | None = msgspec.UNSET
    output: str | list[_Part] | msgspec.UnsetType | None = msgspec.UNSET


ITEM_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(_TextItem))
PART_KEYS = frozenset(_Part.__struct_fields__)
_text_decoder = msgspec.json.Decoder(list[_TextItem])
_media_decoder = msgspec.json.Decoder(list[_MediaItem])


def read_input(found: Found, raw: msgspec.Raw) -> None:
    """Note what the `input` of a request bears on its cost.

    Raises:
        InvalidRequest: a key occurs twice in one object.
    """
    found.text_bytes += len(raw)
    if bytes(memoryview(raw)[:1]) == b'"':
        return
    if not (_read_texts(raw) or _read_media(found, raw)):
        _read_odd_items(found, raw)


def _read_texts(raw: msgspec.Raw) -> bool:
    """Whether there is nothing but text."""
    try:
        items = _text_decoder.decode(raw)
    except BAD:
        return False
    return _is_plain(raw, items)


def _is_plain(raw: msgspec.Raw, items: list[_TextItem] | list[_MediaItem]) -> bool:
    """Whether no item stands for what the provider keeps.

    An item of nothing but an id is a reference. Reasoning without its content is looked up.
    """
    sealed = thoughts = 0
    for item in items:
        if item.type is msgspec.UNSET and len(item.id) and not len(item.role):
            return False
        thoughts += item.type == "reasoning"
        sealed += bool(item.encrypted_content)
    if not thoughts:
        return True
    body = bytes(raw)
    return (
        thoughts == sealed
        and body.count(b'"encrypted_content"') == sealed
        and not _may_be_escaped(body)
    )


def _may_be_escaped(body: bytes) -> bool:
    return b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None


def _read_media(found: Found, raw: msgspec.Raw) -> bool:
    """Count images and files, where no key can hide another; else nothing is noted."""
    try:
        items = _media_decoder.decode(raw)
    except BAD:
        return False
    body = bytes(raw)
    contents = sum(item.content is not msgspec.UNSET for item in items)
    outputs = sum(item.output is not msgspec.UNSET for item in items)
    if not _is_plain(raw, items) or _may_be_escaped(body):
        return False
    # Text that looks like a key is searched in vain; that only costs a second look.
    if body.count(b'"content"') != contents or body.count(b'"output"') != outputs:
        return False
    parts = [
        part
        for item in items
        for held in (item.content, item.output)
        if isinstance(held, list)
        for part in held
    ]
    if any(len(part.file_id) for part in parts):
        return False  # What a file is says only the type, and that might be there twice.
    for part in parts:
        _read_part(found, part)
    return True


def _read_part(found: Found, part: _Part) -> None:
    if part.type == "input_audio" or len(part.input_audio):
        found.audio_in = True
    if part.type == "input_file" or len(part.file_data) or len(part.file_url):
        found.files += 1
    if len(part.image_url):
        _read_image(found, bytes(memoryview(part.image_url)[:_HEAD]), len(part.image_url) - 1)
    elif part.type == "input_image":
        found.images += 1


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


# --- items with something unknown or uncommon in them ------------------------------------------


def _read_odd_items(found: Found, raw: msgspec.Raw) -> None:
    items = objects(raw, "input")
    if items is None:
        found.no_rule("input")
        return
    for item in items:
        kind = item.get("type")
        if kind is None:
            kind = "message" if item.get("role") is not None else "item_reference"
        rule = ITEMS.get(kind, ItemRule.NONE) if isinstance(kind, str) else ItemRule.NONE
        if rule is ItemRule.NONE:
            found.no_rule(f"input[].type={kind}" if isinstance(kind, str) else "input[].type")
        elif rule is ItemRule.BYTES:
            _read_odd_item(found, kind, item)
        else:
            found.unseen_prompt = True
            found.images += rule is ItemRule.IMAGE


def _read_odd_item(found: Found, kind: str, item: dict[str, Any]) -> None:
    for key, value in item.items():
        if key not in ITEM_KEYS and value is not None:
            found.no_rule(f"input[].{key}")
    if kind == "reasoning" and not item.get("encrypted_content"):
        found.unseen_prompt = True
    if kind == "shell_call_output":
        return  # Its output is a list of what its commands have written.
    for name in ("content", "output"):
        held = item.get(name)
        if isinstance(held, list):
            for part in held:
                _read_odd_part(found, name, part)
        elif held is not None and not isinstance(held, str):
            found.no_rule(f"input[].{name}")


def _read_odd_part(found: Found, name: str, part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        found.no_rule(f"input[].{name}[]")
        return
    kind = part["type"]
    if kind in PART_TYPES:
        for key, value in part.items():
            if key not in PART_KEYS and value is not None:
                found.no_rule(f"input[].{name}[].{key}")
    else:
        found.no_rule(f"input[].{name}[].type={kind}")
    if kind == "input_audio" or part.get("input_audio") is not None:
        found.audio_in = True
    file = part.get("file_data") is not None or part.get("file_url") is not None
    if kind == "input_file" or file or (part.get("file_id") and kind != "input_image"):
        found.files += 1
    url = part.get("image_url")
    if isinstance(url, str):
        _read_image(found, b'"' + url[:_HEAD].encode("utf-8", "replace"), len(url) + 1)
    elif kind == "input_image" or url is not None:
        found.images += 1
