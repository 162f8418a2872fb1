"""How much the model shall think, in the words of a chat completion.

OpenAI says `reasoning_effort`; OpenRouter's `reasoning` and Anthropic's `thinking` are what
look-alikes take beside it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import Reasoning
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.given import (
    a_flag_or_none,
    a_text_or_none,
    an_object,
    one_of,
    refuse,
)
from torana.dialects.openai_efforts import effort_of_budget

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MAX_BUDGET = 10**9
_REASONING = frozenset({"effort", "max_tokens", "enabled", "exclude", "summary"})
_THINKING = frozenset({"type", "budget_tokens", "display"})


def read_reasoning(fields: dict[str, Any], unsaid: Losses) -> Reasoning | None:
    """What a request says of thinking.

    Args:
        fields: the values of `reasoning_effort`, `reasoning` and `thinking`, where they are given;
            an effort by the first name counts.
        unsaid: takes the names of what can't be held.
    """
    found = Reasoning()
    if "thinking" in fields:
        found = _read_thinking(an_object(fields["thinking"], "thinking"), unsaid)
    if "reasoning" in fields:
        found = _read_router(an_object(fields["reasoning"], "reasoning"), found, unsaid)
    if "reasoning_effort" in fields:
        effort = one_of(fields["reasoning_effort"], "reasoning_effort", EFFORTS)
        found = msgspec.structs.replace(found, effort=effort)
    return None if found == Reasoning() else found


def _read_thinking(given: dict[str, Any], unsaid: Losses) -> Reasoning:
    unsaid.rest(given, _THINKING, "thinking")
    kind = one_of(given.get("type"), "thinking.type", ("enabled", "disabled", "adaptive"))
    if kind == "disabled":
        return Reasoning(mode="off")
    display = given.get("display")
    if display is not None:
        one_of(display, "thinking.display", ("summarized", "omitted"))
    visible = None if display is None else display == "summarized"
    if kind == "adaptive":
        return Reasoning(mode="adaptive", visible=visible)
    budget = _budget(given.get("budget_tokens"), "thinking.budget_tokens")
    return Reasoning(mode="on", budget=budget, visible=visible)


def _read_router(given: dict[str, Any], found: Reasoning, unsaid: Losses) -> Reasoning:
    unsaid.rest(given, _REASONING, "reasoning")
    if given.get("effort") is not None:
        effort = one_of(given["effort"], "reasoning.effort", EFFORTS)
        found = msgspec.structs.replace(found, effort=effort)
    enabled = a_flag_or_none(given.get("enabled"), "reasoning.enabled")
    if given.get("max_tokens") is not None:
        budget = _budget(given["max_tokens"], "reasoning.max_tokens")
        found = msgspec.structs.replace(found, mode="on", budget=budget)
    elif enabled is not None and found.mode is None:
        found = msgspec.structs.replace(found, mode="adaptive" if enabled else "off")
    if a_flag_or_none(given.get("exclude"), "reasoning.exclude"):
        found = msgspec.structs.replace(found, visible=False)
    summary = a_text_or_none(given.get("summary"), "reasoning.summary")
    if summary is not None:
        one_of(summary, "reasoning.summary", ("auto", "concise", "detailed"))
        found = msgspec.structs.replace(found, summary=summary)
    return found


def _budget(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_BUDGET:
        refuse(where, "a number of tokens")
    return value


def effort_of(reasoning: Reasoning, lost: Losses) -> str | None:
    """The `reasoning_effort` that comes nearest; None where the model shall decide.

    Args:
        reasoning: what is to be said.
        lost: takes the names of what can't be said.
    """
    if reasoning.summary is not None or reasoning.visible:
        lost.add("reasoning.summary")
    if reasoning.budget is not None:
        lost.add("thinking.budget_tokens")
    if reasoning.mode == "off":
        return "none"
    if reasoning.effort is not None:
        return reasoning.effort
    return None if reasoning.budget is None else effort_of_budget(reasoning.budget)
