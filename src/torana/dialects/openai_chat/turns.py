"""Chat messages read into canonical ones.

The results of tools have a role of their own here; there they are parts of a user's message, and
what the user says right after them belongs to the same message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import (
    CacheMark,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.contents import RESULT, USER, read_assistant, read_content
from torana.dialects.openai_chat.given import (
    a_list,
    a_text,
    a_text_or_none,
    an_object,
    an_object_or_none,
    cache_mark,
    one_of,
    refuse,
)
from torana.dialects.openai_chat.thoughts import read_details
from torana.dialects.openai_chat.webs import read_annotations

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_COMMON = frozenset({"role", "content", "name", "cache_control"})
_KNOWN = {
    "system": _COMMON,
    "developer": _COMMON,
    "user": _COMMON,
    "assistant": _COMMON
    | {"refusal", "tool_calls", "function_call", "annotations"}
    | {"reasoning", "reasoning_content", "reasoning_details"},
    # A name repeats what the call says already.
    "tool": _COMMON | {"tool_call_id"},
    "function": _COMMON,
}
_FUNCTION = frozenset({"name", "arguments", "parsed_arguments"})
"""The last is what OpenAI's SDK has parsed: it repeats the arguments."""
_CUSTOM = frozenset({"name", "input"})
_ANNOTATION = frozenset({"type", "url_citation"})
_CITATION = frozenset({"type", "url", "title", "start_index", "end_index"})
_CALL = frozenset({"id", "type", "index", "function", "custom", "cache_control"})


def read_messages(messages: list[Any], unsaid: Losses) -> tuple[Message, ...]:
    """The messages of a request.

    Args:
        messages: as the caller wrote them.
        unsaid: takes the names of what can't be held.

    Raises:
        InvalidRequest: one is malformed; `param` says where.
    """
    if not messages:
        refuse("messages", "at least one message")
    return _Turns(unsaid).read(messages)


class _Turns:
    """Reads one conversation."""

    def __init__(self, unsaid: Losses) -> None:
        self._unsaid = unsaid
        self._read: list[Message] = []
        self._custom: set[str] = set()
        self._open_functions: list[tuple[str, str]] = []
        self._in_results = False
        """The last message holds results of tools, and more may come."""

    def read(self, messages: list[Any]) -> tuple[Message, ...]:
        for index, message in enumerate(messages):
            where = f"messages[{index}]"
            given = an_object(message, where)
            role = one_of(given.get("role"), f"{where}.role", _ROLES)
            self._unsaid.rest(given, _KNOWN[role], "messages[]")
            if role in {"tool", "function"}:
                self._add_result(self._result(given, role, where))
            else:
                self._add(role, self._parts(given, role, where, index), given, where)
        return tuple(self._read)

    def _parts(self, given: dict[str, Any], role: str, where: str, index: int) -> list[Part]:
        if role == "assistant":
            parts = self._assistant(given, where, index)
        else:
            kinds = USER if role == "user" else ("text",)
            parts = read_content(given.get("content"), f"{where}.content", self._unsaid, kinds)
        return parts or [Text("")]

    def _add(self, role: str, parts: list[Part], given: dict[str, Any], where: str) -> None:
        mark = cache_mark(given.get("cache_control"), f"{where}.cache_control", self._unsaid)
        if mark is not None:
            parts[-1] = _marked(parts[-1], mark) or self._unmarked(parts[-1])
        name = a_text_or_none(given.get("name"), f"{where}.name")
        if role == "user" and self._in_results and name is None:
            self._read[-1] = Message("user", (*self._read[-1].parts, *parts))
        else:
            self._read.append(Message(_canonical(role), tuple(parts), name))
        self._in_results = False

    def _unmarked(self, part: Part) -> Part:
        self._unsaid.add("cache_control")
        return part

    def _add_result(self, result: ToolResult) -> None:
        if self._in_results:
            self._read[-1] = Message("user", (*self._read[-1].parts, result))
        else:
            self._read.append(Message("user", (result,)))
        self._in_results = True

    def _result(self, given: dict[str, Any], role: str, where: str) -> ToolResult:
        if role == "tool":
            call_id = a_text(given.get("tool_call_id"), f"{where}.tool_call_id")
        else:
            call_id = self._function_id(given, where)
        content = given.get("content")
        parts = (
            []
            if content is None or content == ""
            else read_content(content, f"{where}.content", self._unsaid, RESULT)
        )
        return ToolResult(
            call_id,
            tuple(part for part in parts if isinstance(part, (Text, Image, Document))),
            custom=call_id in self._custom,
            cache=cache_mark(given.get("cache_control"), f"{where}.cache_control", self._unsaid),
        )

    def _function_id(self, given: dict[str, Any], where: str) -> str:
        """A message of the old role `function` names the function and no call: the last one."""
        name = a_text(given.get("name"), f"{where}.name")
        ids = [call_id for call_id, called in self._open_functions if called == name]
        if not ids:
            refuse(f"{where}.name", "the name of a function that was called before")
        return ids[-1]

    def _assistant(self, given: dict[str, Any], where: str, index: int) -> list[Part]:
        parts = self._thinking(given, where)
        content = given.get("content")
        said = (
            read_assistant(content, f"{where}.content", self._unsaid) if content is not None else []
        )
        if given.get("annotations"):
            said, lost = read_annotations(said, given["annotations"])
            if lost:
                self._unsaid.add("messages[].annotations")
            self._note_annotations(given["annotations"])
        parts += said
        refusal = a_text_or_none(given.get("refusal"), f"{where}.refusal")
        if refusal:
            parts.append(Refusal(refusal))
        legacy = an_object_or_none(given.get("function_call"), f"{where}.function_call")
        if legacy is not None:
            parts.append(self._function_call(legacy, f"{where}.function_call", index))
        calls = given.get("tool_calls")
        for place, call in enumerate(
            a_list(calls, f"{where}.tool_calls") if calls is not None else ()
        ):
            parts.append(self._tool_call(call, f"{where}.tool_calls[{place}]"))
        return parts

    def _note_annotations(self, annotations: Any) -> None:
        """Note what annotations say beyond a page of the web and its place in the text."""
        place = "messages[].annotations[]"
        for mark in annotations if isinstance(annotations, list) else ():
            if not isinstance(mark, dict) or mark.get("type") != "url_citation":
                continue  # Named as a whole.
            inner = mark.get("url_citation")
            self._unsaid.rest(mark, _ANNOTATION if inner is not None else _CITATION, place)
            if isinstance(inner, dict):
                self._unsaid.rest(inner, _CITATION, f"{place}.url_citation")

    def _thinking(self, given: dict[str, Any], where: str) -> list[Part]:
        details = given.get("reasoning_details")
        if details is not None:
            parts, lost = read_details(a_list(details, f"{where}.reasoning_details"))
            if lost:
                self._unsaid.add("messages[].reasoning_details")
            if parts:
                return parts
        for key in ("reasoning_content", "reasoning"):
            text = a_text_or_none(given.get(key), f"{where}.{key}")
            if text:
                return [Thinking(text)]
        return []

    def _function_call(self, given: dict[str, Any], where: str, index: int) -> ToolCall:
        call_id = f"call_{index}"
        self._unsaid.rest(given, _FUNCTION, "messages[].function_call")
        name = a_text(given.get("name"), f"{where}.name")
        self._open_functions.append((call_id, name))
        return ToolCall(call_id, name, read_arguments(given.get("arguments"), f"{where}.arguments"))

    def _tool_call(self, value: Any, where: str) -> ToolCall:
        given = an_object(value, where)
        self._unsaid.rest(given, _CALL, "messages[].tool_calls[]")
        kind = one_of(given.get("type") or "function", f"{where}.type", ("function", "custom"))
        call_id = a_text(given.get("id"), f"{where}.id")
        mark = cache_mark(given.get("cache_control"), f"{where}.cache_control", self._unsaid)
        if kind == "custom":
            self._custom.add(call_id)
            inner = an_object(given.get("custom"), f"{where}.custom")
            self._unsaid.rest(inner, _CUSTOM, "messages[].tool_calls[].custom")
            text = a_text(inner.get("input"), f"{where}.custom.input")
            name = a_text(inner.get("name"), f"{where}.custom.name")
            return ToolCall(call_id, name, text, custom=True, cache=mark)
        inner = an_object(given.get("function"), f"{where}.function")
        self._unsaid.rest(inner, _FUNCTION, "messages[].tool_calls[].function")
        arguments = read_arguments(inner.get("arguments"), f"{where}.function.arguments")
        return ToolCall(
            call_id, a_text(inner.get("name"), f"{where}.function.name"), arguments, cache=mark
        )


def read_arguments(value: Any, where: str) -> str:
    """Arguments of a call as JSON text; none are `{}`, and an object is what some servers send."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "{}"
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return a_text(value, where)


def _canonical(role: str) -> Role:
    if role == "system":
        return "system"
    if role == "developer":
        return "developer"
    return "assistant" if role == "assistant" else "user"


def _marked(part: Part, mark: CacheMark) -> Part | None:
    if isinstance(part, (Text, Image, Document, ToolCall, ToolResult)):
        return msgspec.structs.replace(part, cache=mark)
    return None
