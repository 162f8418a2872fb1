"""Anthropic's content blocks as parts of a message: for requests and for replies.

The blocks themselves are in `torana.dialects.anthropic.content_blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from torana.core.chat import (
    CacheMark,
    Citation,
    Document,
    DocumentCitation,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    Part,
    PlainText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.anthropic.content_blocks import (
    BadBlock,
    Base64Source,
    Block,
    Cache,
    ChunksSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    PlainSource,
    RedactedBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
    decode_blocks,
)
from torana.dialects.losses import Losses
from torana.dialects.signatures import unpack

_RESULT_BLOCKS = (TextBlock, ImageBlock, DocumentBlock, SearchResultBlock)
"""What the result of a tool can hold."""
_encoder = msgspec.json.Encoder()


def read_blocks(
    raw: msgspec.Raw | bytes,
    lost: Losses,
    place: str,
    *,
    of_result: bool = False,
    of_others: bool = False,
) -> list[Part]:
    """The parts of a list of blocks.

    Args:
        raw: its JSON.
        lost: where to note what no part can hold.
        place: what its names begin with, such as `messages[].content[]`.
        of_result: they are in the result of a tool.
        of_others: they are in a request, and not the user's, who alone has results of tools.

    Raises:
        BadBlock: a block is malformed.
    """
    blocks = decode_blocks(raw, lost, place)
    return parts_of(blocks, lost, place, of_result=of_result, of_others=of_others)


def parts_of(
    blocks: Sequence[Block | None],
    lost: Losses,
    place: str,
    *,
    of_result: bool = False,
    of_others: bool = False,
) -> list[Part]:
    """The parts of blocks that were decoded; None stands for one that was named as lost.

    Args, Raises: as `read_blocks`.
    """
    found: list[Part] = []
    for index, block in enumerate(blocks):
        if block is None:
            continue
        if of_result and not isinstance(block, _RESULT_BLOCKS):
            raise BadBlock(f"[{index}].type", "a tool's result holds texts, images and documents")
        if of_others and isinstance(block, ToolResultBlock):
            raise BadBlock(f"[{index}].type", "results of tools are in messages of the user")
        found += _part_at(block, f"[{index}]", lost, place)
    return found


def _part_at(block: Block, path: str, lost: Losses, place: str) -> list[Part]:
    if isinstance(block, TextBlock):
        text = text_part(block)
        return [text] if text.text else []
    if isinstance(block, ToolUseBlock):
        return [_tool_call(block, path, lost, place)]
    if isinstance(block, ToolResultBlock):
        return [_tool_result(block, path, lost, place)]
    if isinstance(block, ThinkingBlock):
        return [thinking_part(block.thinking, block.signature)]
    if isinstance(block, RedactedBlock):
        return [hidden_part(block.data)]
    return [_attachment(block, lost, place)]


def _attachment(
    block: ImageBlock | DocumentBlock | SearchResultBlock, lost: Losses, place: str
) -> Image | Document:
    if isinstance(block, ImageBlock):
        return Image(_source(block.source), cache=mark(block.cache_control))
    if isinstance(block, SearchResultBlock):
        lost.add(f"{place}.type=search_result")  # Its text is kept, its place as a source is not.
        return _search_result(block)
    return _document(block, lost, place)


# --- one kind after another --------------------------------------------------------------------


def text_part(block: TextBlock) -> Text:
    """A text with its citations."""
    return Text(
        block.text,
        tuple(citation_of(citation) for citation in block.citations or ()),
        mark(block.cache_control),
    )


def mark(cache: Cache | None) -> CacheMark | None:
    """A cache mark."""
    return None if cache is None else CacheMark(cache.ttl)


def citation_of(fields: dict[str, Any]) -> Citation:
    """A citation; only those of the web have a counterpart elsewhere."""
    kind = str(fields.get("type"))
    url = fields.get("url")
    if kind == "web_search_result_location" and isinstance(url, str):
        return UrlCitation(
            url,
            _text_or_none(fields.get("title")),
            cited_text=_text_or_none(fields.get("cited_text")) or None,
            token=_text_or_none(fields.get("encrypted_index")) or None,
        )
    return DocumentCitation(kind, fields)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def thinking_part(text: str, signature: str | None) -> Thinking:
    """Thinking; a signature may be another vendor's in an envelope, or missing."""
    if not signature:
        return Thinking(text)
    packed = unpack(signature)
    if packed is None:
        return Thinking(text, signature, "anthropic")
    vendor, item, value = packed
    return Thinking(text, value, vendor, item)


def hidden_part(data: str) -> HiddenThinking:
    """Thinking that only its vendor can read."""
    packed = unpack(data)
    if packed is None:
        return HiddenThinking(data, "anthropic")
    vendor, item, value = packed
    return HiddenThinking(value, vendor, item)


def _tool_call(block: ToolUseBlock, path: str, lost: Losses, place: str) -> ToolCall:
    arguments = bytes(block.input) or b"{}"
    if not arguments.startswith(b"{"):
        raise BadBlock(f"{path}.input", "Expected `object`")
    if block.caller is not None and block.caller.type != "direct":
        lost.add(f"{place}.caller")
    return ToolCall(block.id, block.name, arguments.decode(), cache=mark(block.cache_control))


def _tool_result(block: ToolResultBlock, path: str, lost: Losses, place: str) -> ToolResult:
    parts: list[Part]
    if block.content is None:
        parts = []
    elif isinstance(block.content, str):
        parts = [Text(block.content)] if block.content else []
    else:
        try:
            inner = _encoder.encode(block.content)
            parts = read_blocks(inner, lost, f"{place}.content[]", of_result=True)
        except BadBlock as bad:
            raise BadBlock(f"{path}.content{bad.path}", bad.reason) from None
    return ToolResult(
        block.tool_use_id,
        tuple(part for part in parts if isinstance(part, (Text, Image, Document))),
        is_error=block.is_error or False,
        cache=mark(block.cache_control),
    )


def _source(source: Base64Source | UrlSource | FileSource) -> Url | Inline | FileRef:
    if isinstance(source, Base64Source):
        return Inline(source.media_type, source.data)
    if isinstance(source, UrlSource):
        return Url(source.url)
    return FileRef(source.file_id, "anthropic")


def _document(block: DocumentBlock, lost: Losses, place: str) -> Document:
    source: Url | Inline | FileRef | PlainText
    if isinstance(block.source, PlainSource):
        source = PlainText(block.source.data)
    elif isinstance(block.source, ChunksSource):
        lost.add(f"{place}.source.type=content")  # Its texts are kept, its chunks are not.
        source = PlainText(_joined(block.source.content))
    else:
        source = _source(block.source)
    return Document(
        source,
        block.title,
        block.context,
        cited=bool(block.citations is not None and block.citations.enabled),
        cache=mark(block.cache_control),
    )


def _joined(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    texts = [chunk.get("text") for chunk in content]
    return "\n\n".join([text for text in texts if isinstance(text, str)])


def _search_result(block: SearchResultBlock) -> Document:
    return Document(
        PlainText("\n\n".join([text.text for text in block.content])),
        title=block.title or None,
        context=block.source or None,
        cited=bool(block.citations is not None and block.citations.enabled),
        cache=mark(block.cache_control),
    )
