"""Tools and the choice among them, in both directions; the old `functions` are read as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torana.core.chat import CustomTool, FunctionTool, Tool, ToolChoice
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.given import (
    a_flag_or_none,
    a_list,
    a_text,
    a_text_or_none,
    an_object,
    an_object_or_none,
    cache_mark,
    one_of,
    refuse,
)

_TOOL = frozenset({"type", "function", "custom", "cache_control"})
_FUNCTION = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_CUSTOM = frozenset({"name", "description", "format"})
_FORMAT = frozenset({"type", "grammar"})
_NAMED = frozenset({"name"})
_ALLOWED = frozenset({"mode", "tools"})
_ALLOWED_TOOL = frozenset({"type", "name", "function", "custom"})
_GRAMMAR = frozenset({"syntax", "definition"})

# --- reading -----------------------------------------------------------------------------------


def read_tools(tools: Any, unsaid: Losses) -> list[Tool]:
    """The `tools` of a request.

    Raises:
        InvalidRequest: one is malformed, or is run by the provider: nobody else can.
    """
    read: list[Tool] = []
    for index, tool in enumerate(a_list(tools, "tools")):
        where = f"tools[{index}]"
        given = an_object(tool, where)
        kind = one_of(given.get("type"), f"{where}.type", ("function", "custom"))
        unsaid.rest(given, _TOOL, "tools[]")
        if kind == "custom":
            read.append(_read_custom(given.get("custom"), f"{where}.custom", unsaid))
            if given.get("cache_control") is not None:
                unsaid.add("cache_control")
        else:
            read.append(_read_function(given, where, unsaid))
    return read


def _read_function(tool: dict[str, Any], where: str, unsaid: Losses) -> FunctionTool:
    place = f"{where}.function"
    given = an_object(tool.get("function"), place)
    unsaid.rest(given, _FUNCTION, "tools[].function")
    mark = cache_mark(tool.get("cache_control"), f"{where}.cache_control", unsaid) or cache_mark(
        given.get("cache_control"), f"{place}.cache_control", unsaid
    )
    return FunctionTool(
        name=_name(given, place),
        description=a_text_or_none(given.get("description"), f"{place}.description"),
        schema=an_object_or_none(given.get("parameters"), f"{place}.parameters"),
        strict=a_flag_or_none(given.get("strict"), f"{place}.strict"),
        cache=mark,
    )


def _read_custom(value: Any, where: str, unsaid: Losses) -> CustomTool:
    given = an_object(value, where)
    unsaid.rest(given, _CUSTOM, "tools[].custom")
    form = an_object_or_none(given.get("format"), f"{where}.format")
    if form is not None:
        kind = one_of(form.get("type"), f"{where}.format.type", ("text", "grammar"))
        if kind == "grammar":
            grammar = an_object(form.get("grammar"), f"{where}.format.grammar")
            unsaid.rest(form, _FORMAT, "tools[].custom.format")
            unsaid.rest(grammar, _GRAMMAR, "tools[].custom.format.grammar")
            form = {
                "type": "grammar",
                "syntax": a_text(grammar.get("syntax"), f"{where}.format.grammar.syntax"),
                "definition": a_text(
                    grammar.get("definition"), f"{where}.format.grammar.definition"
                ),
            }
    description = a_text_or_none(given.get("description"), f"{where}.description")
    return CustomTool(_name(given, where), description, form)


def read_functions(functions: Any, unsaid: Losses) -> list[Tool]:
    """The old `functions`."""
    read: list[Tool] = []
    for index, function in enumerate(a_list(functions, "functions")):
        where = f"functions[{index}]"
        given = an_object(function, where)
        unsaid.rest(given, _FUNCTION, "functions[]")
        read.append(
            FunctionTool(
                name=_name(given, where),
                description=a_text_or_none(given.get("description"), f"{where}.description"),
                schema=an_object_or_none(given.get("parameters"), f"{where}.parameters"),
            )
        )
    return read


def read_choice(value: Any, unsaid: Losses) -> ToolChoice:
    """`tool_choice`, when it is not null."""
    if isinstance(value, str):
        mode = one_of(value, "tool_choice", ("none", "auto", "required"))
        return ToolChoice("none" if mode == "none" else "auto" if mode == "auto" else "required")
    given = an_object(value, "tool_choice")
    kind = one_of(given.get("type"), "tool_choice.type", ("function", "custom", "allowed_tools"))
    unsaid.rest(given, frozenset({"type", kind}), "tool_choice")
    if kind != "allowed_tools":
        inner = an_object(given.get(kind), f"tool_choice.{kind}")
        unsaid.rest(inner, _NAMED, f"tool_choice.{kind}")
        return ToolChoice("named", (_name(inner, f"tool_choice.{kind}"),))
    inner = an_object(given.get("allowed_tools"), "tool_choice.allowed_tools")
    mode = one_of(inner.get("mode"), "tool_choice.allowed_tools.mode", ("auto", "required"))
    unsaid.rest(inner, _ALLOWED, "tool_choice.allowed_tools")
    place = "tool_choice.allowed_tools.tools"
    names = tuple(
        _allowed_name(tool, f"{place}[{index}]", unsaid)
        for index, tool in enumerate(a_list(inner.get("tools"), place))
    )
    if not names:
        refuse(place, "at least one tool")
    return ToolChoice("auto" if mode == "auto" else "required", names)


def _allowed_name(value: Any, where: str, unsaid: Losses) -> str:
    given = an_object(value, where)
    kind = given.get("type")
    inner = given.get(kind) if isinstance(kind, str) else None
    place = "tool_choice.allowed_tools.tools[]"
    unsaid.rest(given, _ALLOWED_TOOL, place)
    if isinstance(inner, dict):
        unsaid.rest(inner, _NAMED, f"{place}.{kind}")
        return _name(inner, f"{where}.{kind}")
    return _name(given, where)


def read_function_choice(value: Any, unsaid: Losses) -> ToolChoice:
    """The old `function_call`, when it is not null."""
    if isinstance(value, str):
        mode = one_of(value, "function_call", ("none", "auto"))
        return ToolChoice("none" if mode == "none" else "auto")
    given = an_object(value, "function_call")
    unsaid.rest(given, _NAMED, "function_call")
    return ToolChoice("named", (_name(given, "function_call"),))


def _name(given: dict[str, Any], where: str) -> str:
    name = a_text(given.get("name"), f"{where}.name")
    if not name:
        refuse(f"{where}.name", "a name")
    return name


# --- writing -----------------------------------------------------------------------------------


def write_tools(tools: Sequence[Tool], lost: Losses) -> list[dict[str, Any]]:
    """The `tools` of a request; `lost` takes the names of what can't be said."""
    return [
        _write_function(tool, lost) if isinstance(tool, FunctionTool) else _write_custom(tool)
        for tool in tools
    ]


def _write_function(tool: FunctionTool, lost: Losses) -> dict[str, Any]:
    if tool.cache is not None:
        lost.add("cache_control")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_custom(tool: CustomTool) -> dict[str, Any]:
    custom: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    form = tool.format
    if form is not None:
        if form.get("type") == "grammar":
            grammar = {key: form[key] for key in ("syntax", "definition") if key in form}
            form = {"type": "grammar", "grammar": grammar}
        custom["format"] = form
    return {"type": "custom", "custom": custom}


def write_choice(choice: ToolChoice, tools: Sequence[Tool]) -> str | dict[str, Any]:
    """`tool_choice`.

    Args:
        choice: what is to be said.
        tools: the call's; a tool of free text is named in another way.
    """
    custom = {tool.name for tool in tools if isinstance(tool, CustomTool)}
    named = [
        {"type": "custom", "custom": {"name": name}}
        if name in custom
        else {"type": "function", "function": {"name": name}}
        for name in choice.names
    ]
    if choice.mode == "named" and named:
        return named[0]
    if choice.mode == "none" or not named:
        return "required" if choice.mode == "named" else choice.mode
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}
