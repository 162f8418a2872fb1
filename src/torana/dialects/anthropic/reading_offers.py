"""A caller's tools, and which of them the model may call."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from torana.core.chat import FunctionTool, ToolChoice
from torana.dialects import wire
from torana.dialects.anthropic.content_blocks import Cache
from torana.dialects.anthropic.members import CACHE, known_cache, note_rest
from torana.dialects.anthropic.parts import mark
from torana.dialects.losses import Losses
from torana.dialects.wire import ABSENT
from torana.errors import InvalidRequest


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: Cache | None = None


_tools_decoder = msgspec.json.Decoder(list[_Tool])
_TOOL_FIELDS = frozenset(_Tool.__struct_fields__)
_NOTHING = (b"null", b"false", b"[]", b'["direct"]')
"""Values of a tool's other fields that ask for nothing."""


def read_tools(fields: dict[str, msgspec.Raw], unsaid: Losses) -> tuple[FunctionTool, ...]:
    """The tools of a request.

    Raises:
        InvalidRequest: one is malformed.
    """
    raw = fields.get("tools")
    if raw is None or bytes(raw) == b"null":
        return ()
    try:
        tools = _tools_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        tools = _read_tools_one_by_one(fields, unsaid)
    return tuple(
        FunctionTool(
            tool.name, tool.description, tool.input_schema, tool.strict, mark(tool.cache_control)
        )
        for tool in tools
    )


def _read_tools_one_by_one(fields: dict[str, msgspec.Raw], unsaid: Losses) -> list[_Tool]:
    """There is something among the tools that is unknown or wrong."""
    tools = []
    for index, raw in enumerate(wire.required(fields, "tools", list[dict[str, msgspec.Raw]])):
        path = f"tools[{index}]"
        kind = _as(raw.get("type", ABSENT), str, f"{path}.type", "custom")
        if kind != "custom":
            unsaid.add(f"tools[].type={kind}")
            continue
        for name in [name for name in raw if name not in _TOOL_FIELDS]:
            if bytes(raw.pop(name)) not in _NOTHING:
                unsaid.add(f"tools[].{name}")
        tools.append(_as(wire.raw(known_cache(raw, unsaid, f"tools[].{CACHE}")), _Tool, path, None))
    return tools


def _as(raw: msgspec.Raw, kind: Any, path: str, otherwise: Any) -> Any:
    if len(raw) == 0 or bytes(raw) == b"null":
        return otherwise
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        reason, _, where = str(error).partition(" - at `$")
        path = f"{path}{where.rstrip('`')}"
        raise InvalidRequest(f"Invalid value for '{path}': {reason}.", param=path) from None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


def read_tool_choice(
    fields: dict[str, msgspec.Raw], unsaid: Losses
) -> tuple[ToolChoice | None, bool | None]:
    """Which tools may be called, and whether several at once.

    Raises:
        InvalidRequest: it is malformed.
    """
    given: _ToolChoice | None = wire.optional(fields, "tool_choice", _ToolChoice)
    if given is None:
        return None, None
    note_rest(fields, "tool_choice", _ToolChoice, unsaid)
    single = given.disable_parallel_tool_use
    parallel = None if single is None else not single
    if given.type == "tool":
        if not given.name:
            raise wire.missing("tool_choice.name")
        return ToolChoice("named", (given.name,)), parallel
    if given.type == "any":
        return ToolChoice("required"), parallel
    return ToolChoice(given.type), parallel
