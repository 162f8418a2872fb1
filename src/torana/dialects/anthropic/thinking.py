"""How much a model shall think, and what cannot be asked for beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torana.core.chat import ChatCall, Reasoning
from torana.dialects.anthropic.requests import MIN_BUDGET
from torana.dialects.anthropic.turns import Turn
from torana.dialects.base import Traits
from torana.dialects.losses import Losses

EFFORTS: Mapping[str, str] = MappingProxyType(
    {name: name for name in ("low", "medium", "high", "xhigh", "max")} | {"minimal": "low"}
)
"""Efforts as Anthropic calls them."""
BUDGETS: Mapping[str, int] = MappingProxyType(
    {
        "minimal": MIN_BUDGET,
        "low": 2_048,
        "medium": 8_192,
        "high": 16_384,
        "xhigh": 32_768,
        "max": 65_536,
    }
)
"""Tokens that an effort stands for where a model takes a budget; less where the answer is short."""
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_OFF = {"type": "disabled"}


def write_thinking(
    call: ChatCall, traits: Traits, turns: Sequence[Turn], max_tokens: int, lost: Losses
) -> tuple[dict[str, Any] | None, str | None]:
    """The fields `thinking` and `output_config.effort`, each None to leave it out.

    Thinking gives way, and is reported, where a call asks for what Anthropic does not take beside
    it: a caller that forces a tool breaks without it, one that gets less thinking does not.

    Args:
        call: which asks.
        traits: of the model.
        turns: as they are written.
        max_tokens: as it is written; a budget must be less.
        lost: where to note what can't be said.
    """
    asked = call.reasoning
    if asked is None:
        return None, None
    lost.add_if("reasoning_summary", asked.summary in {"concise", "detailed"})
    # A model that takes a budget has no efforts.
    effort = EFFORTS.get(asked.effort or "") if traits.adaptive_thinking else None
    return _thinking(call, asked, traits, turns, max_tokens, lost), effort


def _thinking(
    call: ChatCall,
    asked: Reasoning,
    traits: Traits,
    turns: Sequence[Turn],
    max_tokens: int,
    lost: Losses,
) -> dict[str, Any] | None:
    if asked.mode == "off" or (asked.mode is None and asked.effort == "none"):
        return dict(_OFF)
    if asked.mode is None and asked.effort is None:
        return None
    forced = call.tool_choice is not None and call.tool_choice.mode in {"required", "named"}
    if forced and call.tools:
        lost.add("thinking")
        return dict(_OFF)
    if traits.adaptive_thinking:
        lost.add_if("budget_tokens", asked.budget)
        return {"type": "adaptive", **_display(asked)}
    budget = min(asked.budget or BUDGETS.get(asked.effort or "", BUDGETS["medium"]), max_tokens - 1)
    if budget < MIN_BUDGET or not _may_go_on(turns):
        lost.add("thinking")
        return dict(_OFF)
    return {"type": "enabled", "budget_tokens": budget, **_display(asked)}


def _display(asked: Reasoning) -> dict[str, str]:
    visible = asked.visible
    if visible is None and asked.summary is not None:
        visible = True
    if visible is None:
        return {}
    return {"display": "summarized" if visible else "omitted"}


def _may_go_on(turns: Sequence[Turn]) -> bool:
    """Whether a model with a budget may think in the next turn.

    It may not where the turn that it goes on with has not begun with its own thinking: a turn whose
    tools have just been run, or the beginning of an answer.
    """
    answers = [turn for turn in turns if turn.role == "assistant"]
    if not answers:
        return True
    kinds = answers[-1].kinds()
    goes_on = turns[-1].role == "assistant" or "tool_use" in kinds
    return not goes_on or kinds[0] in _THOUGHTS


def write_sampling(call: ChatCall, lost: Losses, *, thinks: bool) -> dict[str, Any]:
    """The fields `temperature`, `top_p` and `top_k`.

    Args:
        call: which asks.
        lost: where to note what can't be said.
        thinks: the model thinks, and then takes neither a temperature nor `top_k`.
    """
    fields: dict[str, Any] = {}
    if call.temperature is not None:
        if thinks or call.temperature > 1:
            lost.add_if("temperature", call.temperature != 1)
        if not thinks:
            fields["temperature"] = min(call.temperature, 1.0)
    if call.top_p is not None:
        # Newer models refuse both; without a choice of tokens it says nothing.
        fits = 0.95 <= call.top_p <= 1 if thinks else "temperature" not in fields
        lost.add_if("top_p", not fits and call.top_p != 1)
        if fits:
            fields["top_p"] = call.top_p
    if call.top_k is not None:
        lost.add_if("top_k", thinks)
        if not thinks:
            fields["top_k"] = call.top_k
    return fields
