"""Messages as the input of a Responses request: the inverse of `reading_items`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from torana.core.chat import (
    Audio,
    CacheMark,
    Citation,
    Document,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    Message,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.losses import Losses

_UNTITLED = "document.pdf"
"""OpenAI wants a name for a file whose data it gets."""
_UNTITLED_TEXT = "document.txt"


class InputWriter:
    """Gathers the items of an input.

    Attributes:
        items: so far.
        lost: names of what they can't say.
    """

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.lost = Losses()

    def add(self, message: Message) -> None:
        """Write a message: an item for each result and call of a tool, and for what is between."""
        if message.name is not None:
            self.lost.add("messages[].name")
        if message.role == "assistant":
            self._add_answer(message.parts)
            return
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._add_message(message.role, content)
                content = []
                self._add_result(part)
            else:
                content += self._content(part)
        self._add_message(message.role, content)

    def _add_message(self, role: str, content: list[dict[str, Any]]) -> None:
        if not content:
            return
        plain = len(content) == 1 and content[0]["type"] == "input_text"
        said = content[0]["text"] if plain else content
        self.items.append({"type": "message", "role": role, "content": said})

    def _add_answer(self, parts: Sequence[Part]) -> None:
        said: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, (Text, Refusal)):
                said.append(self._said(part))
                continue
            item = self._answer_item(part)
            if item is not None:
                self._add_said(said)
                said = []
                self.items.append(item)
        self._add_said(said)

    def _add_said(self, said: list[dict[str, Any]]) -> None:
        if said:
            self.items.append(
                {"type": "message", "role": "assistant", "status": "completed", "content": said}
            )

    def _said(self, part: Text | Refusal) -> dict[str, Any]:
        if isinstance(part, Refusal):
            return {"type": "refusal", "refusal": part.text}
        self._note_mark(part.cache)
        return {
            "type": "output_text",
            "text": part.text,
            "annotations": annotations_of(part.text, part.citations, self.lost),
        }

    def _answer_item(self, part: Part) -> dict[str, Any] | None:
        if isinstance(part, (Thinking, HiddenThinking)):
            return self._thinking(part)
        if isinstance(part, ToolCall):
            self._note_mark(part.cache)
            if part.custom:
                kind, given = "custom_tool_call", "input"
            else:
                kind, given = "function_call", "arguments"
            return {"type": kind, "call_id": part.id, "name": part.name, given: part.arguments}
        note_unsayable(part, self.lost)
        return None

    def _thinking(self, part: Thinking | HiddenThinking) -> dict[str, Any] | None:
        """Thinking that OpenAI has signed, under the id that the signature is bound to."""
        hidden = isinstance(part, HiddenThinking)
        sealed = part.data if isinstance(part, HiddenThinking) else part.signature
        if part.vendor != "openai" or part.id is None or sealed is None:
            self.lost.add("thinking")
            return None
        text = "" if isinstance(part, HiddenThinking) else part.text
        return {
            "type": "reasoning",
            "id": part.id,
            "summary": [] if hidden else [{"type": "summary_text", "text": text}],
            "encrypted_content": sealed,
        }

    def _add_result(self, part: ToolResult) -> None:
        self._note_mark(part.cache)
        if part.is_error:
            self.lost.add("is_error")
        content = [written for held in part.parts for written in self._content(held)]
        output: Any = content
        if not content:
            output = ""
        elif len(content) == 1 and content[0]["type"] == "input_text":
            output = content[0]["text"]
        kind = "custom_tool_call_output" if part.custom else "function_call_output"
        self.items.append({"type": kind, "call_id": part.call_id, "output": output})

    # --- contents ------------------------------------------------------------------------------

    def _content(self, part: Part) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            self._note_mark(part.cache)
            if part.citations:
                self.lost.add("citations")
            return [{"type": "input_text", "text": part.text}]
        if isinstance(part, Image):
            return self._image(part)
        if isinstance(part, Document):
            return self._document(part)
        if isinstance(part, Audio):
            heard = {"data": part.data, "format": part.format}
            return [{"type": "input_audio", "input_audio": heard}]
        self.lost.add("thinking" if isinstance(part, Thinking | HiddenThinking) else "content")
        return []

    def _image(self, part: Image) -> list[dict[str, Any]]:
        self._note_mark(part.cache)
        source = part.source
        if isinstance(source, FileRef):
            if source.vendor != "openai":
                self.lost.add("file_id")
                return []
            written = {"type": "input_image", "file_id": source.file_id}
        else:
            url = source.url if isinstance(source, Url) else _data_url(source)
            written = {"type": "input_image", "image_url": url}
        if part.detail is not None:
            written["detail"] = part.detail
        return [written]

    def _document(self, part: Document) -> list[dict[str, Any]]:
        self._note_mark(part.cache)
        if part.context is not None:
            self.lost.add("document_context")
        if part.cited:
            self.lost.add("citations")
        source = part.source
        if isinstance(source, (Url, FileRef)):
            if part.title is not None:
                self.lost.add("document_title")
            if isinstance(source, Url):
                return [{"type": "input_file", "file_url": source.url}]
            if source.vendor == "openai":
                return [{"type": "input_file", "file_id": source.file_id}]
            self.lost.add("file_id")
            return []
        untitled = _UNTITLED
        if isinstance(source, PlainText):
            untitled = _UNTITLED_TEXT
            source = Inline("text/plain", base64.b64encode(source.text.encode()).decode())
        return [
            {
                "type": "input_file",
                "filename": part.title or untitled,
                "file_data": _data_url(source),
            }
        ]

    def _note_mark(self, mark: CacheMark | None) -> None:
        if mark is not None:
            self.lost.add("cache_control")


def note_unsayable(part: Part, lost: Losses) -> None:
    """Note a part that no answer holds."""
    lost.add("tool_result" if isinstance(part, ToolResult) else type(part).__name__.lower())


def annotations_of(text: str, citations: Sequence[Citation], lost: Losses) -> list[dict[str, Any]]:
    """The annotations of a text; citations of documents and quoted words are lost."""
    written = []
    for mark in citations:
        if isinstance(mark, UrlCitation):
            if mark.cited_text is not None or mark.token is not None:
                lost.add("citations")
            written.append(annotation_of(mark, len(text)))
        else:
            lost.add("citations")
    return written


def annotation_of(mark: UrlCitation, length: int) -> dict[str, Any]:
    """An annotation; a citation of a whole text tells its characters.

    Args:
        mark: the citation.
        length: characters of the text.
    """
    return {
        "type": "url_citation",
        "url": mark.url,
        "title": mark.title or "",
        "start_index": mark.start,
        "end_index": mark.end or length,
    }


def _data_url(source: Inline) -> str:
    return f"data:{source.media_type};base64,{source.data}"
