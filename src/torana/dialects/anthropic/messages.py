"""The messages of a request, as far as they bear on its cost.

Messages are forwarded as their caller wrote them, and a provider may heed another one of two equal
keys than we do. So they are read by types that check every occurrence of a key and let pass only
what costs its bytes, or else object by object, where a key that occurs twice is refused.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from torana.dialects import wire
from torana.dialects.anthropic.rules import BLOCK_FIELDS, RULED_KINDS, TEXT_KINDS, TextKind
from torana.dialects.costs import BAD, Found
from torana.dialects.wire import ABSENT
from torana.errors import InvalidJson, InvalidRequest

_BLOCK = "messages[].content[]"
_MESSAGE_FIELDS = frozenset({"role", "content"})
_TEXT_SOURCES = frozenset({"text", "content"})
_FILE_SOURCES = frozenset({"base64", "url", "file"})
_DEPTH = 3
"""A message holds a tool's result, that a document, and that blocks; nothing is deeper."""


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    text: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT
    citations: msgspec.Raw = ABSENT


class _Cheap(msgspec.Struct, forbid_unknown_fields=True):
    """A block that costs its bytes, whichever of two equal keys is heeded."""

    type: TextKind | Literal["tool_result"]
    text: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    signature: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    caller: msgspec.Raw = ABSENT
    toolset_name: msgspec.Raw = ABSENT
    tool_use_id: msgspec.Raw = ABSENT
    is_error: msgspec.Raw = ABSENT
    content: str | list[_Text] | None = None
    cache_control: msgspec.Raw = ABSENT
    citations: msgspec.Raw = ABSENT


class _CheapMessage(msgspec.Struct, forbid_unknown_fields=True):
    role: msgspec.Raw = ABSENT
    content: str | list[_Cheap] | None = None


_cheap_decoder = msgspec.json.Decoder(list[_CheapMessage])
_system_decoder = msgspec.json.Decoder(str | list[_Text])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)


def read_messages(found: Found, raw: msgspec.Raw) -> None:
    """Note what the `messages` of a request bear on its cost.

    Raises:
        InvalidRequest: a key occurs twice in one object, where that could hide a cost.
    """
    found.text_bytes += len(raw)
    try:
        _cheap_decoder.decode(raw)
    except BAD:
        pass
    else:
        return
    items = items_of(raw)
    if items is None:
        found.no_rule("messages")
        return
    for item in items:
        message = object_of(item, "messages")
        if message is None:
            found.no_rule("messages")
            continue
        for name in message.keys() - _MESSAGE_FIELDS:
            _name_unknown(found, f"messages[].{name}", message[name])
        _read_content(found, message.get("content", ABSENT), "messages[].content")


def read_system(found: Found, raw: msgspec.Raw) -> None:
    """Note what the `system` of a request bears on its cost: texts, by their bytes."""
    found.text_bytes += len(raw)
    try:
        _system_decoder.decode(raw)
    except BAD:
        _read_content(found, raw, "system")


def _read_content(found: Found, raw: msgspec.Raw, name: str, depth: int = _DEPTH) -> None:
    if len(raw) == 0 or is_text(raw) or bytes(raw) == b"null":
        return
    items = items_of(raw) if depth else None
    if items is None:
        found.no_rule(name)
        return
    for item in items:
        block = object_of(item, name.partition("[")[0])
        if block is None:
            found.no_rule(f"{name}[]")
        else:
            _read_block(found, block, depth - 1)


def _read_block(found: Found, block: dict[str, msgspec.Raw], depth: int) -> None:
    kind = text_of(block.get("type", ABSENT))
    if kind is None:
        found.no_rule(_BLOCK)
        return
    if kind not in RULED_KINDS:
        found.no_rule(f"{_BLOCK}.type={kind}")
        return
    for name in block.keys() - BLOCK_FIELDS:
        _name_unknown(found, f"{_BLOCK}.{name}", block[name])
    if kind == "image":
        _read_image(found, block.get("source", ABSENT))
    elif kind == "document":
        _read_document(found, block.get("source", ABSENT), depth)
    elif kind not in TEXT_KINDS:
        _read_content(found, block.get("content", ABSENT), f"{_BLOCK}.content", depth)


def _read_image(found: Found, raw: msgspec.Raw) -> None:
    source = object_of(raw, "messages") or {}
    kind = text_of(source.get("type", ABSENT))
    if kind not in _FILE_SOURCES:
        found.no_rule(f"{_BLOCK}.source.type={kind}")
        return
    if kind != "base64":
        found.images += 1
        return
    media_type = text_of(source.get("media_type", ABSENT)) or ""
    if media_type.startswith("image/"):
        found.images += 1
        # The data of an image is not text.
        found.text_bytes -= max(len(source.get("data", ABSENT)) - 2, 0)
    else:
        found.files += 1


def _read_document(found: Found, raw: msgspec.Raw, depth: int) -> None:
    source = object_of(raw, "messages") or {}
    kind = text_of(source.get("type", ABSENT))
    if kind in _FILE_SOURCES:
        found.files += 1
    elif kind == "content":
        _read_content(found, source.get("content", ABSENT), f"{_BLOCK}.source.content", depth)
    elif kind not in _TEXT_SOURCES:
        found.no_rule(f"{_BLOCK}.source.type={kind}")


def _name_unknown(found: Found, name: str, value: msgspec.Raw) -> None:
    if bytes(value) != b"null":
        found.no_rule(name)


# --- careful reading ---------------------------------------------------------------------------


def object_of(raw: msgspec.Raw, field: str) -> dict[str, msgspec.Raw] | None:
    """The members of an object, None when it is none.

    Args:
        raw: its JSON.
        field: the request's field that it is in, for the error.

    Raises:
        InvalidRequest: a key occurs twice.
    """
    try:
        return wire.decode_fields(bytes(raw))
    except InvalidJson:
        return None
    except InvalidRequest as twice:
        raise InvalidRequest(
            f"The key {twice.param!r} occurs twice in '{field}'.", param=field
        ) from None


def items_of(raw: msgspec.Raw) -> list[msgspec.Raw] | None:
    """The items of a list, None when it is none."""
    try:
        return _items_decoder.decode(raw)
    except BAD:
        return None


def text_of(raw: msgspec.Raw) -> str | None:
    """A text, None when it is none."""
    try:
        return _text_decoder.decode(raw)
    except BAD:
        return None


def is_text(raw: msgspec.Raw) -> bool:
    """Whether it is a text, without a look at all of it."""
    return bytes(memoryview(raw)[:1]) == b'"'
