"""Canonical calls and replies for property tests: what the values can hold, in their normal form.

`Says` states what a dialect can say; the strategies make nothing beyond it. So a dialect's property
test is short: `read_call(write_call(x)) == x` for all `x` of `calls(says)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.support.canonical_parts import (
    BASE64,
    NAMES,
    SCHEMAS,
    TEXTS,
    assistant_parts,
    documents,
    images,
    marks,
    texts,
    tool_results,
)
from tests.support.canonical_says import EVERYTHING, Says
from torana.core.chat import (
    Audio,
    ChatCall,
    ChatReply,
    CustomTool,
    Finish,
    FunctionTool,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Tool,
    ToolCall,
    ToolChoice,
)
from torana.core.usage import Usage

__all__ = ["EVERYTHING", "Says", "calls", "conversations", "replies", "usages"]

# --- calls -------------------------------------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn, says: Says) -> tuple[Message, ...]:
    """Instructions, then turns that alternate, from a user's to a user's."""
    names = st.none() | NAMES if says.names else st.none()
    instructions = st.builds(
        Message,
        role=st.sampled_from(says.roles),
        parts=st.lists(texts(says), min_size=1, max_size=says.max_system_parts).map(tuple),
        name=names,
    )
    messages = list(draw(st.lists(instructions, max_size=says.max_systems)))
    pending: Sequence[ToolCall] = ()
    made = 0
    spoken: list[st.SearchStrategy[Part]] = [texts(says), images(says)]
    if says.documents:
        spoken.append(documents(says))
    if says.audio:
        spoken.append(st.builds(Audio, data=BASE64, format=st.sampled_from(["wav", "mp3"])))
    for turn in range(draw(st.integers(0, 2)) + 1):
        if turn:
            said = draw(assistant_parts(says, first_call=made))
            pending = [part for part in said if isinstance(part, ToolCall)]
            made += len(pending)
            messages.append(Message("assistant", said))
        results: list[Part] = [draw(tool_results(says, call)) for call in pending]
        more = draw(st.lists(st.one_of(spoken), min_size=0 if results else 1, max_size=2))
        messages.append(Message("user", (*results, *more), None if results else draw(names)))
        if says.later_systems and draw(st.integers(0, 3)) == 0:
            messages.append(draw(instructions))
    return tuple(messages)


@cache
def tools(says: Says) -> st.SearchStrategy[tuple[Tool, ...]]:
    """Tools with different names."""
    function = st.builds(
        FunctionTool,
        name=NAMES,
        description=st.none() | TEXTS,
        schema=st.none() | SCHEMAS if says.schemaless else SCHEMAS,
        strict=st.sampled_from([None, True, False]) if says.strict else st.none(),
        cache=marks(says),
    )
    kinds: st.SearchStrategy[Tool] = function
    if says.custom_tools:
        kinds |= st.builds(CustomTool, name=NAMES, description=st.none() | TEXTS)
    return st.lists(kinds, max_size=3, unique_by=lambda tool: tool.name).map(tuple)


@st.composite
def tool_choices(draw: st.DrawFn, says: Says, offered: Sequence[Tool]) -> ToolChoice | None:
    """A choice among the offered tools."""
    if not offered:
        return None
    name = draw(st.sampled_from([tool.name for tool in offered]))
    choices: list[ToolChoice | None] = [
        None,
        ToolChoice("auto"),
        ToolChoice("none"),
        ToolChoice("required"),
        ToolChoice("named", (name,)),
    ]
    if says.allowed_tools:
        choices += [ToolChoice("auto", (name,)), ToolChoice("required", (name,))]
    return draw(st.sampled_from(choices))


@st.composite
def reasonings(draw: st.DrawFn, says: Says) -> Reasoning | None:
    """How much to think; a budget comes with `on` and only with it."""
    mode = draw(st.sampled_from(says.reasoning_modes)) if says.reasoning_modes else None
    effort = draw(st.none() | st.sampled_from(says.efforts)) if says.efforts else None
    budget = draw(st.integers(1024, 4000)) if mode == "on" else None
    shown = says.visible and mode in {"on", "adaptive"}
    visible = draw(st.sampled_from([None, True, False])) if shown else None
    summary = draw(st.none() | st.sampled_from(says.summaries)) if says.summaries else None
    if mode is None and effort is None and summary is None:
        return None
    return Reasoning(mode=mode, effort=effort, budget=budget, visible=visible, summary=summary)


@cache
def formats(says: Says) -> st.SearchStrategy[OutputFormat]:
    """Forms of the visible text."""
    named = says.format_names
    schema = st.builds(
        OutputFormat,
        schema=SCHEMAS,
        name=NAMES if named else st.none(),
        description=st.none() | TEXTS if named else st.none(),
        strict=st.sampled_from([None, True, False]) if named else st.none(),
    )
    return schema | st.just(OutputFormat()) if says.json_object else schema


@st.composite
def calls(draw: st.DrawFn, says: Says = EVERYTHING) -> ChatCall:
    """Calls in their normal form that a dialect can say."""
    offered = draw(tools(says))
    made: dict[str, st.SearchStrategy[Any]] = {
        "parallel_tools": st.sampled_from([None, True, False]) if offered else st.none(),
        "max_output": st.none() | st.integers(4_096, 32_000),
        "temperature": st.none() | st.sampled_from([0.0, 0.5, 1.0, says.temperature]),
        "top_p": st.none() | st.sampled_from([0.1, 0.95]),
        "top_k": st.none() | st.integers(1, 100),
        "frequency_penalty": st.none() | st.sampled_from([-2.0, 0.5]),
        "presence_penalty": st.none() | st.sampled_from([-2.0, 0.5]),
        "seed": st.none() | st.integers(0, 2**31),
        "stop": st.lists(TEXTS, max_size=says.stops, unique=True).map(tuple),
        "top_logprobs": st.none() | st.integers(0, 20),
        "logit_bias": st.none() | st.just({"50256": -100.0}),
        "format": st.none() | formats(says),
        "reasoning": reasonings(says),
        "end_user": st.none() | NAMES,
        "metadata": st.dictionaries(NAMES, TEXTS, max_size=2),
        "service_tier": st.none() | st.sampled_from(says.tiers) if says.tiers else st.none(),
        "cache_key": st.none() | NAMES,
        "cache": marks(says),
        "verbosity": st.none() | st.sampled_from(["low", "medium", "high"]),
        "stream": st.booleans(),
    }
    said = {name: draw(value) for name, value in made.items() if name not in says.without}
    if "include_usage" not in says.without:
        said["include_usage"] = said["stream"] and draw(st.booleans())
    return ChatCall(
        model=draw(NAMES),
        messages=draw(conversations(says)),
        tools=offered,
        tool_choice=draw(tool_choices(says, offered)),
        **said,
    )


# --- replies -----------------------------------------------------------------------------------


@cache
def usages(says: Says = EVERYTHING) -> st.SearchStrategy[Usage]:
    """What was consumed, in the classes that a dialect tells apart."""
    counts = st.integers(0, 10**6)
    return st.builds(
        Usage,
        **{name: counts if name in says.usage else st.just(0) for name in Usage.__struct_fields__},
    )


@st.composite
def replies(draw: st.DrawFn, says: Says = EVERYTHING) -> ChatReply:
    """Whole replies in their normal form that a dialect can say."""
    parts = draw(assistant_parts(replace(says, cache=())))  # Marks belong to requests.
    if says.nothing and draw(st.integers(0, 9)) == 0:
        parts = ()
    called = any(isinstance(part, ToolCall) for part in parts)
    refused = any(isinstance(part, Refusal) for part in parts)
    ends = [
        finish
        for finish in says.finishes
        if (finish is not Finish.TOOL_CALLS or called)
        and (finish is not Finish.STOP or not (called or refused))
    ]
    finish = Finish.TOOL_CALLS if called else draw(st.sampled_from(ends))
    told = says.stop_sequence and finish is Finish.STOP_SEQUENCE
    return ChatReply(
        id=draw(NAMES),
        model=draw(NAMES),
        created=draw(st.integers(1, 2**31)) if says.created else 0,
        parts=parts,
        finish=finish,
        stop_sequence=draw(TEXTS) if told else None,
        usage=draw(usages(says)),
        service_tier=draw(st.none() | st.sampled_from(says.reply_tiers))
        if says.reply_tiers
        else None,
    )
