"""Tools as Anthropic takes them, and which of them the model may call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torana.core.chat import ChatCall, CustomTool, Tool
from torana.dialects.anthropic.blocks import cache_control, fits_name
from torana.dialects.anthropic.schemas import held
from torana.dialects.anthropic.turns import Turn
from torana.dialects.base import Traits
from torana.dialects.losses import Losses
from torana.errors import InvalidRequest

INPUT = "input"
"""The one field of a tool that takes free text."""
_ANY_OBJECT = {"type": "object"}


def write_tools(
    call: ChatCall, traits: Traits, turns: Sequence[Turn], lost: Losses
) -> dict[str, Any]:
    """The fields `tools` and `tool_choice`.

    Raises:
        InvalidRequest: a tool's name is not one that Anthropic takes.
    """
    if not call.tools:
        return _called_before(turns)
    choice = call.tool_choice
    among = choice.names if choice is not None and choice.mode in {"auto", "required"} else ()
    # Which tools may be called is said by offering no others.
    offered = [tool for tool in call.tools if not among or tool.name in among]
    if among and not offered:
        raise InvalidRequest("'tool_choice' allows none of the tools.", param="tool_choice")
    fields: dict[str, Any] = {"tools": [_tool(tool, call.tools, traits, lost) for tool in offered]}
    said = _choice(call)
    if said is not None:
        fields["tool_choice"] = said
    return fields


def _called_before(turns: Sequence[Turn]) -> dict[str, Any]:
    """Anthropic wants the tools of earlier calls declared; now they may not be called."""
    names = [
        block["name"] for turn in turns for block in turn.blocks if block["type"] == "tool_use"
    ]
    if not names:
        return {}
    return {
        "tools": [{"name": name, "input_schema": _ANY_OBJECT} for name in dict.fromkeys(names)],
        "tool_choice": {"type": "none"},
    }


def _tool(tool: Tool, tools: Sequence[Tool], traits: Traits, lost: Losses) -> dict[str, Any]:
    if not fits_name(tool.name):
        # Another name would come back in the answer, and the caller would not know it.
        param = f"tools[{tools.index(tool)}].name"
        raise InvalidRequest(
            "This model takes names of tools of 1 to 128 letters, digits, '_' and '-'.",
            param=param,
        )
    if isinstance(tool, CustomTool):
        lost.add("custom_tools")
        return _free_text(tool)
    written: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    schema = tool.schema or _ANY_OBJECT
    if tool.strict:
        strict = held(schema) if traits.structured_output else None
        if strict is None:
            lost.add("strict")
        else:
            written["strict"] = True
            schema = strict
    elif tool.strict is not None:
        written["strict"] = False
    written["input_schema"] = schema if "type" in schema else {"type": "object", **schema}
    return written | cache_control(tool.cache)


def _free_text(tool: CustomTool) -> dict[str, Any]:
    field: dict[str, Any] = {"type": "string"}
    definition = (tool.format or {}).get("definition")
    if isinstance(definition, str):
        field["description"] = f"A text of this grammar:\n{definition}"
    written: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = {
        "type": "object",
        "properties": {INPUT: field},
        "required": [INPUT],
        "additionalProperties": False,
    }
    return written


def _choice(call: ChatCall) -> dict[str, Any] | None:
    choice = call.tool_choice
    mode = "auto" if choice is None else choice.mode
    if mode == "none":
        return {"type": "none"}
    said: dict[str, Any] = {"type": {"required": "any", "named": "tool"}.get(mode, mode)}
    if choice is not None and mode == "named":
        said["name"] = choice.names[0]
    if call.parallel_tools is not None:
        said["disable_parallel_tool_use"] = not call.parallel_tools
    elif choice is None:
        return None
    return said
