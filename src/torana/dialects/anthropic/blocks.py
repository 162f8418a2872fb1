"""Parts of a message as Anthropic's content blocks: for requests and for replies."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

import msgspec

from torana.core.chat import (
    CacheMark,
    Citation,
    Document,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    PlainText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.anthropic.answers import decoded
from torana.dialects.losses import Losses
from torana.dialects.signatures import pack

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_OTHER = re.compile(r"[^a-zA-Z0-9_-]")
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def cache_control(mark: CacheMark | None) -> dict[str, Any]:
    """The field of a cache mark; nothing for none."""
    if mark is None:
        return {}
    told = {} if mark.ttl is None else {"ttl": mark.ttl}
    return {"cache_control": {"type": "ephemeral", **told}}


def text_block(text: str) -> dict[str, Any]:
    """A text without anything else."""
    return {"type": "text", "text": text}


# --- citations ---------------------------------------------------------------------------------


def citation_block(citation: Citation) -> dict[str, Any]:
    """A citation for a caller: all keys that its SDK demands, empty where nothing is known."""
    if isinstance(citation, UrlCitation):
        return {
            "type": "web_search_result_location",
            "cited_text": citation.cited_text or "",
            "encrypted_index": citation.token or "",
            "title": citation.title,
            "url": citation.url,
        }
    return citation.fields


def cited_text_block(part: Text, lost: Losses) -> dict[str, Any]:
    """A text of an earlier answer, for a provider, which takes back only its own citations."""
    citations = [
        citation_block(citation)
        for citation in part.citations
        if not isinstance(citation, UrlCitation) or citation.token is not None
    ]
    lost.add_if("citations", len(citations) < len(part.citations))
    block = text_block(part.text)
    if citations:
        block["citations"] = citations
    return block | cache_control(part.cache)


# --- pictures and documents --------------------------------------------------------------------


def image_block(part: Image, lost: Losses) -> dict[str, Any] | None:
    """A picture; None for one that another provider keeps."""
    lost.add_if("image_detail", part.detail not in {None, "auto"})
    source = _source(part.source, lost)
    if source is None:
        return None
    return {"type": "image", "source": source, **cache_control(part.cache)}


def document_block(part: Document, lost: Losses) -> dict[str, Any] | None:
    """A document; None for one that another provider keeps."""
    source = _document_source(part, lost)
    if source is None:
        return None
    block: dict[str, Any] = {"type": "document", "source": source}
    if part.title is not None:
        block["title"] = part.title
    if part.context is not None:
        block["context"] = part.context
    if part.cited:
        block["citations"] = {"enabled": True}
    return block | cache_control(part.cache)


def _document_source(part: Document, lost: Losses) -> dict[str, Any] | None:
    source = part.source
    if isinstance(source, PlainText):
        return {"type": "text", "media_type": "text/plain", "data": source.text}
    if isinstance(source, Inline) and source.media_type.startswith("text/"):
        try:
            text = base64.b64decode(source.data).decode()
        except (binascii.Error, ValueError):
            return _source(source, lost)  # The provider says what is wrong with it.
        return {"type": "text", "media_type": "text/plain", "data": text}
    return _source(source, lost)


def _source(source: Url | Inline | FileRef, lost: Losses) -> dict[str, Any] | None:
    if isinstance(source, Url):
        return {"type": "url", "url": source.url}
    if isinstance(source, Inline):
        return {"type": "base64", "media_type": source.media_type, "data": source.data}
    if source.vendor != "anthropic":
        lost.add("file_id")
        return None
    return {"type": "file", "file_id": source.file_id}


# --- thinking ----------------------------------------------------------------------------------


def thinking_block(part: Thinking) -> dict[str, Any]:
    """Thinking for a caller."""
    return {"type": "thinking", "thinking": part.text, "signature": signature_of(part)}


def signature_of(part: Thinking) -> str:
    """A signature; another vendor's in an envelope, none is empty."""
    if part.signature is None or part.vendor is None:
        return ""
    if part.vendor == "anthropic":
        return part.signature
    return pack(part.vendor, part.id, part.signature)


def hidden_block(part: HiddenThinking) -> dict[str, Any]:
    """Thinking that only its vendor can read; another vendor's in an envelope."""
    own = part.vendor == "anthropic"
    data = part.data if own else pack(part.vendor, part.id, part.data)
    return {"type": "redacted_thinking", "data": data}


# --- tools -------------------------------------------------------------------------------------


def tool_use_block(part: ToolCall) -> dict[str, Any]:
    """A call of a tool, with its arguments as the model wrote them."""
    return {
        "type": "tool_use",
        "id": fit_id(part.id),
        "name": fit_name(part.name),
        "input": input_of(part),
        **cache_control(part.cache),
    }


def input_of(part: ToolCall) -> msgspec.Raw:
    """Arguments as the object that they must be; anything else becomes the field `input` of one."""
    if not part.custom:
        if not part.arguments.strip():
            return msgspec.Raw(b"{}")
        try:
            _, readable = decoded(_object_decoder, part.arguments.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        else:
            return msgspec.Raw(readable)
    return msgspec.Raw(msgspec.json.encode({"input": part.arguments}))


def tool_result_block(part: ToolResult, lost: Losses) -> dict[str, Any]:
    """What a tool has brought; one text is written as such."""
    content: list[dict[str, Any]] = []
    for inner in part.parts:
        if isinstance(inner, Text):
            if inner.text.strip():
                content.append(cited_text_block(inner, lost))
        else:
            block = (
                image_block(inner, lost)
                if isinstance(inner, Image)
                else document_block(inner, lost)
            )
            if block is not None:
                content.append(block)
    block = {"type": "tool_result", "tool_use_id": fit_id(part.call_id)}
    if content:
        single = len(content) == 1 and content[0].keys() == {"type", "text"}
        block["content"] = content[0]["text"] if single else content
    if part.is_error:
        block["is_error"] = True
    return block | cache_control(part.cache)


def fit_id(id: str) -> str:  # noqa: A002 -- the field's name.
    """An id of the letters that Anthropic takes; another one always becomes the same."""
    return id if _ID.fullmatch(id) else f"toolu_{_digest(id)}"


def fits_name(name: str) -> bool:
    """Whether Anthropic takes it as the name of a tool."""
    return _NAME.fullmatch(name) is not None


def fit_name(name: str) -> str:
    """A name of the letters that Anthropic takes; another one always becomes the same."""
    return name if fits_name(name) else f"{_OTHER.sub('_', name)[:100]}_{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
