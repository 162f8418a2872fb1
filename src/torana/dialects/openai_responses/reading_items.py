"""The input of a Responses request as messages.

Items that the model has made and that follow one another (reasoning, messages, calls of tools) are
one message of the assistant. Results of tools that follow one another are one message of the user,
together with the user's message right after them. `torana.dialects.openai_responses.writing_items`
is the inverse.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal

from torana.core.chat import (
    Audio,
    CacheMark,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Part,
    PlainText,
    Role,
    Text,
    ToolResult,
    Url,
)
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.parts import read_said, read_thinking, read_tool_call
from torana.dialects.openai_responses.values import (
    bad,
    list_at,
    maybe_text_in,
    object_at,
    text_in,
)
from torana.errors import InvalidRequest

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,(.*)", re.DOTALL)
_ROLES: dict[str, Role] = {
    "user": "user",
    "system": "system",
    "developer": "developer",
    "assistant": "assistant",
}
_ITEM = frozenset({"type", "id", "status", "created_by"})
"""Members of any item that say nothing to a model: a response's items come back with them."""
# A phase repeats what the order of messages and calls shows.
_MESSAGE = _ITEM | {"role", "content", "phase"}
# What the SDK has parsed repeats the text.
_CALL = _ITEM | {"call_id", "name", "namespace", "async", "caller", "parsed_arguments"}
_FUNCTION_CALL = _CALL | {"arguments"}
_CUSTOM_CALL = _CALL | {"input"}
_REASONING = _ITEM | {"summary", "content", "encrypted_content"}
# The name of the tool repeats what the call says.
_RESULT = _ITEM | {"call_id", "name", "namespace", "caller", "output"}
_DIRECT = {"type": "direct"}
"""The caller of a tool that is the model itself."""
_TEXT = frozenset({"type", "text"})
_SAID = {
    "output_text": _TEXT | {"annotations", "logprobs", "parsed"},
    "input_text": _TEXT | {"annotations", "logprobs"},
    "text": _TEXT | {"annotations", "logprobs"},
    "refusal": frozenset({"type", "refusal"}),
}
_ANNOTATION = frozenset({"type", "url", "title", "start_index", "end_index"})
_MARKED = frozenset({"type", "prompt_cache_breakpoint"})
_MARKED_TEXT = _MARKED | {"text", "annotations", "logprobs"}
_IMAGE = _MARKED | {"image_url", "file_id", "detail"}
_FILE = _MARKED | {"file_data", "file_url", "file_id", "filename", "detail"}
_AUDIO = frozenset({"type", "input_audio"})
_SOUND = frozenset({"data", "format"})
_BREAKPOINT = frozenset({"mode", "ttl"})
_PART = "input[].content[]"
_PART_OF_RESULT = "input[].output[]"
_KEPT_ELSEWHERE = {
    "item_reference": "Send the item itself: Torana can't look it up at another provider.",
    "compaction": "Only the provider that has made it can read it.",
}


class InputReader:
    """Gathers items to messages.

    Attributes:
        messages: those that are complete.
        unsaid: names of what they can't hold.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.unsaid = Losses()
        self._open: list[Part] = []
        self._open_role: Literal["assistant", "user"] = "user"

    def read(self, items: list[Any]) -> None:
        """Take the items of an input.

        Raises:
            InvalidRequest: one is malformed, or stands for what another provider keeps.
        """
        for index, value in enumerate(items):
            where = f"input[{index}]"
            self._read_item(object_at(value, where), where)
        self._flush()

    def _read_item(self, item: dict[str, Any], where: str) -> None:
        kind = maybe_text_in(item, "type", where)
        if kind is None:
            kind = "message" if "role" in item else "item_reference"
        if kind == "message":
            self._read_message(item, where)
        elif kind in {"function_call", "custom_tool_call"}:
            self._note_call(item, _CUSTOM_CALL if kind == "custom_tool_call" else _FUNCTION_CALL)
            self._grow("assistant", read_tool_call({**item, "type": kind}, where, self.unsaid))
        elif kind == "reasoning":
            thought = read_thinking(item, where)
            self._note_thinking(item)
            if thought is not None:
                self._grow("assistant", thought)
        elif kind in {"function_call_output", "custom_tool_call_output"}:
            self._note_call(item, _RESULT)
            self._grow("user", self._result(item, where, custom=kind.startswith("custom")))
        elif kind in _KEPT_ELSEWHERE:
            raise InvalidRequest(
                f"An item of type '{kind}' can't be read by this model.",
                hint=_KEPT_ELSEWHERE[kind],
                param=where,
            )
        else:
            self.unsaid.add(f"input[].type={kind}")

    def _note_call(self, item: dict[str, Any], known: frozenset[str]) -> None:
        """Note what a call of a tool or its result says beyond what is read."""
        self.unsaid.rest(item, known, "input[]")
        if item.get("async"):
            self.unsaid.add("input[].async")
        if item.get("caller") not in (None, _DIRECT):
            self.unsaid.add("input[].caller")

    def _note_thinking(self, item: dict[str, Any]) -> None:
        """Note what a reasoning item that was read says beyond it."""
        self.unsaid.rest(item, _REASONING, "input[]")
        for name in ("summary", "content"):
            for held in item.get(name) or ():
                self.unsaid.rest(held, _TEXT, f"input[].{name}[]")

    def _read_message(self, item: dict[str, Any], where: str) -> None:
        role = _ROLES.get(text_in(item, "role", where))
        if role is None:
            raise bad(f"{where}.role", "one of user, assistant, system and developer")
        self.unsaid.rest(item, _MESSAGE, "input[]")
        content = item.get("content")
        if isinstance(content, str):
            parts: list[Part] = [Text(content)]
        else:
            assistant = role == "assistant"
            parts = self._parts(content, f"{where}.content", _PART, assistant=assistant)
        if role == "assistant":
            for part in parts:
                if part != Text(""):  # Says nothing, and other providers refuse it.
                    self._grow("assistant", part)
            return
        if role == "user" and self._open_role == "user":
            parts = [*self._open, *parts]
            self._open = []
        self._flush()
        if parts:
            self.messages.append(Message(role, tuple(parts)))

    def _parts(
        self, content: Any, where: str, place: str, *, assistant: bool = False
    ) -> list[Part]:
        parts: list[Part] = []
        for index, value in enumerate(list_at(content, where)):
            at = f"{where}[{index}]"
            held = object_at(value, at)
            if assistant:
                part: Part | None = read_said(held, at, self.unsaid)
                _note_said(held, self.unsaid)
            else:
                part = read_content(held, at, self.unsaid, place)
            if part is not None:
                parts.append(part)
        return parts

    def _result(self, item: dict[str, Any], where: str, *, custom: bool) -> ToolResult:
        if item.get("namespace") is not None:
            self.unsaid.add("namespace")
        output = item.get("output")
        parts: list[Any] = []
        if isinstance(output, str):
            parts = [Text(output)] if output else []
        else:
            for part in self._parts(output, f"{where}.output", _PART_OF_RESULT):
                if isinstance(part, (Text, Image, Document)):
                    parts.append(part)
                else:
                    self.unsaid.add("input[].output[].type=input_audio")
        return ToolResult(text_in(item, "call_id", where), tuple(parts), custom=custom)

    def _grow(self, role: Literal["assistant", "user"], part: Part) -> None:
        if role != self._open_role:
            self._flush()
        self._open_role = role
        self._open.append(part)

    def _flush(self) -> None:
        if self._open:
            self.messages.append(Message(self._open_role, tuple(self._open)))
            self._open = []


# --- parts of messages -------------------------------------------------------------------------


def _note_said(part: dict[str, Any], unsaid: Losses) -> None:
    """Note what a part of the assistant's says beyond what was read."""
    known = _SAID.get(part["type"])
    if known is None:
        return  # Named already.
    unsaid.rest(part, known, _PART)
    if part.get("logprobs"):
        unsaid.add(f"{_PART}.logprobs")
    for mark in part.get("annotations") or ():
        if mark.get("type") == "url_citation":
            unsaid.rest(mark, _ANNOTATION, f"{_PART}.annotations[]")


def read_content(
    part: dict[str, Any], where: str, unsaid: Losses, place: str = _PART
) -> Part | None:
    """A part of a message or of a tool's result; None for an unknown one, which is named.

    Args:
        part: as it was sent.
        where: it is, for errors.
        unsaid: takes the names of what can't be held.
        place: what these begin with.

    Raises:
        InvalidRequest: it is malformed.
    """
    kind = text_in(part, "type", where)
    if kind in {"input_text", "output_text", "text"}:
        unsaid.rest(part, _MARKED_TEXT, place)
        for name in ("annotations", "logprobs"):
            if part.get(name):
                unsaid.add(f"{place}.{name}")
        return Text(text_in(part, "text", where), cache=_mark(part, where, unsaid, place))
    if kind == "input_image":
        unsaid.rest(part, _IMAGE, place)
        detail = maybe_text_in(part, "detail", where)
        return Image(_image_source(part, where), detail, _mark(part, where, unsaid, place))
    if kind == "input_file":
        unsaid.rest(part, _FILE, place)
        if part.get("detail") not in (None, "auto"):
            unsaid.add("input_file.detail")
        title = maybe_text_in(part, "filename", where)
        mark = _mark(part, where, unsaid, place)
        return Document(_file_source(part, where), title, cache=mark)
    if kind == "input_audio":
        at = f"{where}.input_audio"
        heard = object_at(part.get("input_audio"), at)
        unsaid.rest(part, _AUDIO, place)
        unsaid.rest(heard, _SOUND, f"{place}.input_audio")
        return Audio(text_in(heard, "data", at), text_in(heard, "format", at))
    unsaid.add(f"{place}.type={kind}")
    return None


def _mark(part: dict[str, Any], where: str, unsaid: Losses, place: str) -> CacheMark | None:
    """A breakpoint of the prompt cache; its times are longer than those of other providers."""
    if part.get("prompt_cache_breakpoint") is None:
        return None
    name = "prompt_cache_breakpoint"
    found = object_at(part[name], f"{where}.{name}")
    unsaid.rest(found, _BREAKPOINT, f"{place}.{name}")
    ttl = found.get("ttl")
    if ttl is None:
        return CacheMark()
    if ttl != "30m":
        unsaid.add("prompt_cache_breakpoint.ttl")
    return CacheMark("1h")


def _image_source(part: dict[str, Any], where: str) -> Url | Inline | FileRef:
    url = maybe_text_in(part, "image_url", where)
    if url is not None:
        return _inline(url, f"{where}.image_url") or Url(url)
    file_id = maybe_text_in(part, "file_id", where)
    if file_id is None:
        raise bad(f"{where}.image_url", "a text")
    return FileRef(file_id, "openai")


def _inline(url: str, where: str) -> Inline | None:
    if url[:5].lower() != "data:":
        return None
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise bad(where, "an address, or data in base64")
    return Inline(found[1], found[2])


def _file_source(part: dict[str, Any], where: str) -> Url | Inline | FileRef | PlainText:
    data = maybe_text_in(part, "file_data", where)
    if data is not None:
        inline = _inline(data, f"{where}.file_data") or Inline("application/pdf", data)
        return _plain(inline) or inline
    url = maybe_text_in(part, "file_url", where)
    if url is not None:
        return _inline(url, f"{where}.file_url") or Url(url)
    file_id = maybe_text_in(part, "file_id", where)
    if file_id is None:
        raise bad(f"{where}.file_data", "a text")
    return FileRef(file_id, "openai")


def _plain(inline: Inline) -> PlainText | None:
    if inline.media_type != "text/plain":
        return None
    try:
        return PlainText(base64.b64decode(inline.data, validate=True).decode())
    except (binascii.Error, ValueError):
        return None
