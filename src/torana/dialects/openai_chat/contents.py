"""The content of chat messages: a text or a list of parts, in both directions."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from torana.core.chat import (
    Audio,
    CacheMark,
    Document,
    FileRef,
    Image,
    Inline,
    Part,
    PlainText,
    Refusal,
    Text,
    Url,
)
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.given import (
    a_list,
    a_text,
    a_text_or_none,
    an_object,
    breakpoint_mark,
    cache_mark,
    refuse,
)

_DATA_URL = re.compile(r"data:([^,]{0,200}?);base64,(.*)", re.DOTALL | re.IGNORECASE)
_MARKS = frozenset({"type", "cache_control", "prompt_cache_breakpoint"})
_KNOWN = {
    "text": _MARKS | {"text"},
    "refusal": _MARKS | {"refusal"},
    "image_url": _MARKS | {"image_url"},
    "input_audio": _MARKS | {"input_audio"},
    "file": _MARKS | {"file"},
}
_IMAGE = frozenset({"url", "detail"})
_FILE = frozenset({"file_id", "file_data", "filename"})
_AUDIO = frozenset({"data", "format"})
UNNAMED_DOCUMENT = "document.pdf"
"""What a document without a title is called: OpenAI takes none without a file's name."""
USER = ("text", "image_url", "input_audio", "file")
RESULT = ("text", "image_url", "file")
"""Types of parts of a tool's message; OpenAI itself takes only text."""

# --- reading -----------------------------------------------------------------------------------


def read_content(content: Any, where: str, unsaid: Losses, kinds: tuple[str, ...]) -> list[Part]:
    """The parts of a message's content.

    Args:
        content: a text or a list of parts.
        where: the field, for errors.
        unsaid: takes the names of what can't be held.
        kinds: types of parts that may be here.
    """
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        refuse(where, "a string or an array of parts")
    return [
        _read_part(part, f"{where}[{index}]", unsaid, kinds) for index, part in enumerate(content)
    ]


def _read_part(part: Any, where: str, unsaid: Losses, kinds: tuple[str, ...]) -> Part:
    given = an_object(part, where)
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        refuse(f"{where}.type", "one of " + ", ".join(f"'{name}'" for name in kinds))
    unsaid.rest(given, _KNOWN[kind], "messages[].content[]")
    mark = cache_mark(given.get("cache_control"), f"{where}.cache_control", unsaid)
    if mark is None:
        found = given.get("prompt_cache_breakpoint")
        mark = breakpoint_mark(found, f"{where}.prompt_cache_breakpoint", unsaid)
    if kind == "text":
        return Text(a_text(given.get("text"), f"{where}.text"), cache=mark)
    if kind == "image_url":
        return _read_image(given.get("image_url"), f"{where}.image_url", unsaid, mark)
    if kind == "file":
        return _read_file(given.get("file"), f"{where}.file", unsaid, mark)
    if mark is not None:
        unsaid.add("cache_control")
    if kind == "refusal":
        return Refusal(a_text(given.get("refusal"), f"{where}.refusal"))
    sound = an_object(given.get("input_audio"), f"{where}.input_audio")
    unsaid.rest(sound, _AUDIO, "messages[].content[].input_audio")
    return Audio(
        a_text(sound.get("data"), f"{where}.input_audio.data"),
        a_text(sound.get("format"), f"{where}.input_audio.format"),
    )


def _read_image(value: Any, where: str, unsaid: Losses, mark: CacheMark | None) -> Image | Document:
    if isinstance(value, str):  # Some clients leave the object out.
        value = {"url": value}
    given = an_object(value, where)
    unsaid.rest(given, _IMAGE, "messages[].content[].image_url")
    url = a_text(given.get("url"), f"{where}.url")
    detail = a_text_or_none(given.get("detail"), f"{where}.detail")
    found = _DATA_URL.match(url)
    if found is not None:
        media_type = found[1].split(";")[0].lower()
        if media_type.startswith("image/"):
            return Image(Inline(media_type, found[2]), detail, mark)
        # A document in the clothes of an image.
        return _inline_document(media_type, found[2], None, mark)
    if not url[:8].lower().startswith(("http://", "https://")):
        refuse(f"{where}.url", "an http or https URL, or a data URL in base64")
    return Image(Url(url), detail, mark)


def _read_file(value: Any, where: str, unsaid: Losses, mark: CacheMark | None) -> Document:
    given = an_object(value, where)
    unsaid.rest(given, _FILE, "messages[].content[].file")
    title = a_text_or_none(given.get("filename"), f"{where}.filename")
    title = None if title in {"", UNNAMED_DOCUMENT} else title
    file_id = a_text_or_none(given.get("file_id"), f"{where}.file_id")
    if file_id is not None:
        return Document(FileRef(file_id, "openai"), title, cache=mark)
    data = a_text(given.get("file_data"), f"{where}.file_data")
    found = _DATA_URL.match(data)
    if found is not None:
        return _inline_document(found[1].split(";")[0].lower(), found[2], title, mark)
    if data[:5].lower() == "data:":
        refuse(f"{where}.file_data", "base64, bare or as a data URL")
    return _inline_document("application/pdf", data, title, mark)


def _inline_document(
    media_type: str, data: str, title: str | None, mark: CacheMark | None
) -> Document:
    if media_type == "text/plain":
        try:
            text = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError):
            pass
        else:
            return Document(PlainText(text), title, cache=mark)
    return Document(Inline(media_type or "application/pdf", data), title, cache=mark)


def read_assistant(content: Any, where: str, unsaid: Losses) -> list[Part]:
    """Content that an assistant has written; thinking among its parts is left out by name."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    thoughts = ("thinking", "reasoning", "redacted_thinking")
    kept = []
    for part in a_list(content, where):
        if isinstance(part, dict) and part.get("type") in thoughts:
            unsaid.add("messages[].content[].thinking")
            part = None  # noqa: PLW2901 -- keeps the places of the others for errors.
        kept.append(part)
    return [
        _read_part(part, f"{where}[{index}]", unsaid, ("text", "refusal"))
        for index, part in enumerate(kept)
        if part is not None
    ]


# --- writing -----------------------------------------------------------------------------------


def write_content(parts: list[Part], lost: Losses) -> str | list[dict[str, Any]]:
    """A message's content: a text where one is enough, else a list of parts.

    Args:
        parts: texts, images, documents, audio and refusals.
        lost: takes the names of what can't be said.
    """
    written = [found for part in parts if (found := _write_part(part, lost)) is not None]
    if len(written) == 1 and written[0]["type"] == "text":
        only: str = written[0]["text"]
        return only
    return written


def _text_losses(text: Text, lost: Losses) -> None:
    if text.cache is not None:
        lost.add("cache_control")
    if text.citations:
        lost.add("citations")


def _write_part(part: Part, lost: Losses) -> dict[str, Any] | None:
    if isinstance(part, Text):
        _text_losses(part, lost)
        return {"type": "text", "text": part.text}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
    if isinstance(part, (Image, Document)):
        if part.cache is not None:
            lost.add("cache_control")
        return _write_image(part, lost) if isinstance(part, Image) else _write_document(part, lost)
    lost.add("messages[].content[]")
    return None


def _write_image(image: Image, lost: Losses) -> dict[str, Any] | None:
    source = image.source
    if isinstance(source, FileRef):
        lost.add("file_id")
        return None
    url = source.url if isinstance(source, Url) else _data_url(source)
    shown: dict[str, Any] = {"url": url}
    if image.detail is not None:
        shown["detail"] = image.detail
    return {"type": "image_url", "image_url": shown}


def _write_document(document: Document, lost: Losses) -> dict[str, Any] | None:
    source = document.source
    if document.cited:
        lost.add("citations")
    if document.context is not None:
        lost.add("document_context")
    if isinstance(source, PlainText):
        if document.title is not None:
            lost.add("document_title")
        return {"type": "text", "text": source.text}
    if isinstance(source, Url):
        lost.add("document_url")
        return None
    if isinstance(source, FileRef):
        if source.vendor != "openai":
            lost.add("file_id")
            return None
        if document.title is not None:
            lost.add("document_title")
        return {"type": "file", "file": {"file_id": source.file_id}}
    name = document.title or UNNAMED_DOCUMENT
    return {"type": "file", "file": {"filename": name, "file_data": _data_url(source)}}


def _data_url(source: Inline) -> str:
    return f"data:{source.media_type};base64,{source.data}"
