"""Anthropic's content blocks as they are written: their types, and reading them.

The types forbid what they don't know, so that nothing is passed over: where something is unknown,
its name is noted, and the block is read without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from torana.dialects.losses import Losses
from torana.dialects.wire import ABSENT


class Cache(msgspec.Struct, forbid_unknown_fields=True):
    """A `cache_control`."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class _Tagged(msgspec.Struct, forbid_unknown_fields=True, tag_field="type"):
    """A block or a source; each kind has a tag."""


class TextBlock(_Tagged, tag="text"):
    """A text."""

    text: str
    citations: list[dict[str, Any]] | None = None
    cache_control: Cache | None = None


class Base64Source(_Tagged, tag="base64"):
    """Data in base64."""

    media_type: str
    data: str


class UrlSource(_Tagged, tag="url"):
    """An address."""

    url: str


class FileSource(_Tagged, tag="file"):
    """A file that Anthropic keeps."""

    file_id: str


class PlainSource(_Tagged, tag="text"):
    """A text as a document."""

    data: str
    media_type: str = "text/plain"


class ChunksSource(_Tagged, tag="content"):
    """A document in pieces."""

    content: str | list[dict[str, Any]]


class ImageBlock(_Tagged, tag="image"):
    """A picture."""

    source: Base64Source | UrlSource | FileSource
    cache_control: Cache | None = None


class CitationsConfig(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a source may be cited."""

    enabled: bool | None = None


class DocumentBlock(_Tagged, tag="document"):
    """A document."""

    source: Base64Source | UrlSource | FileSource | PlainSource | ChunksSource
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None
    cache_control: Cache | None = None


class SearchResultBlock(_Tagged, tag="search_result"):
    """Something that a search has found."""

    source: str
    title: str
    content: list[TextBlock]
    citations: CitationsConfig | None = None
    cache_control: Cache | None = None


class ThinkingBlock(_Tagged, tag="thinking"):
    """What the model has thought."""

    thinking: str
    signature: str | None = None


class RedactedBlock(_Tagged, tag="redacted_thinking"):
    """Thinking that only Anthropic can read."""

    data: str


class Caller(msgspec.Struct, forbid_unknown_fields=True):
    """Who calls a tool."""

    type: str
    tool_id: str | None = None


class ToolUseBlock(_Tagged, tag="tool_use"):
    """A call of a tool."""

    id: str
    name: str
    input: msgspec.Raw = ABSENT
    caller: Caller | None = None
    cache_control: Cache | None = None


class ToolResultBlock(_Tagged, tag="tool_result"):
    """The result of a tool."""

    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None
    cache_control: Cache | None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
)
_SOURCES = (Base64Source, UrlSource, FileSource, PlainSource, ChunksSource)


def _members(kinds: Sequence[type[msgspec.Struct]]) -> dict[str, frozenset[str]]:
    """What objects of some kinds can have, by their tags."""
    return {
        str(kind.__struct_config__.tag): frozenset({"type", *kind.__struct_fields__})
        for kind in kinds
    }


_OF_BLOCKS = _members(Block.__args__)
_OF_SOURCES = _members(_SOURCES)
_OF_MEMBERS = {
    "cache_control": frozenset(Cache.__struct_fields__),
    "caller": frozenset(Caller.__struct_fields__),
    "citations": frozenset(CitationsConfig.__struct_fields__),
}
"""What the objects inside blocks can have. The citations of a text are a list, and kept whole."""
_OF_TEXTS = _OF_BLOCKS["text"]
_block_decoder: msgspec.json.Decoder[Block] = msgspec.json.Decoder(Block)
_blocks_decoder: msgspec.json.Decoder[list[Block]] = msgspec.json.Decoder(list[Block])
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raws_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()
_NONE = msgspec.Raw(b"[]")


class BadBlock(ValueError):
    """A block is malformed.

    Attributes:
        path: from the list of blocks on, such as `[0].source.type`.
        reason: in the words of the parser.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def decode_blocks(raw: msgspec.Raw | bytes, lost: Losses, place: str) -> Sequence[Block | None]:
    """A list of blocks; None stands for an unknown one, which is named as lost.

    Args:
        raw: its JSON.
        lost: where to note what is not known.
        place: what its names begin with, such as `messages[].content[]`.

    Raises:
        BadBlock: a block is malformed.
    """
    try:
        return _blocks_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        pass  # Something among the blocks is unknown or wrong.
    try:
        items = _raws_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise BadBlock("", "expected an array of content blocks") from None
    return [_read_block(item, f"[{index}]", lost, place) for index, item in enumerate(items)]


def _read_block(raw: msgspec.Raw, path: str, lost: Losses, place: str) -> Block | None:
    try:
        members = _members_decoder.decode(raw)
        kind = msgspec.json.decode(members.get("type", ABSENT), type=str)
    except (msgspec.DecodeError, RecursionError):
        raise BadBlock(f"{path}.type", "expected a content block with a type") from None
    known = _OF_BLOCKS.get(kind)
    if known is None:
        lost.add(f"{place}.type={kind}")
        return None
    try:
        members = _known(members, known, lost, place)
        if kind == "search_result":
            texts = _raws_decoder.decode(members.get("content", _NONE))
            inside = [known_members(text, _OF_TEXTS, lost, f"{place}.content[]") for text in texts]
            members["content"] = msgspec.Raw(_encoder.encode(inside))
        return _block_decoder.decode(_encoder.encode(members))
    except (msgspec.DecodeError, RecursionError) as error:
        reason, _, where = str(error).partition(" - at `$")
        raise BadBlock(f"{path}{where.rstrip('`')}", reason) from None


# --- what is not known -------------------------------------------------------------------------


def known_members(raw: msgspec.Raw, known: frozenset[str], lost: Losses, place: str) -> msgspec.Raw:
    """An object without what is not known, which is named unless it is null.

    Args:
        raw: its JSON; what is no object stays as it is.
        known: names of its members.
        lost: where to note the others.
        place: what their names begin with.

    Raises:
        msgspec.DecodeError, RecursionError: it is no JSON, or nested too deeply.
    """
    if bytes(memoryview(raw)[:1]) != b"{":
        return raw
    members = _known(_members_decoder.decode(raw), known, lost, place)
    return msgspec.Raw(_encoder.encode(members))


def _known(
    members: dict[str, msgspec.Raw], known: frozenset[str], lost: Losses, place: str
) -> dict[str, msgspec.Raw]:
    kept: dict[str, msgspec.Raw] = {}
    for name, value in members.items():
        if name not in known:
            lost.add_if(f"{place}.{name}", bytes(value) != b"null")
            continue
        inner = _OF_MEMBERS.get(name)
        if name == "source":
            inner = _of_source(value)
        kept[name] = (
            value if inner is None else known_members(value, inner, lost, f"{place}.{name}")
        )
    return kept


def _of_source(raw: msgspec.Raw) -> frozenset[str] | None:
    """What a source can have; None for one of an unknown kind, or a search result's text."""
    if bytes(memoryview(raw)[:1]) != b"{":
        return None
    kind = _members_decoder.decode(raw).get("type", ABSENT)
    return _OF_SOURCES.get(bytes(kind).decode(errors="replace").strip('"'))
