"""Why a reply has ended, in OpenAI's words and in canonical ones."""

from __future__ import annotations

from torana.core.chat import Finish

_READ = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.REFUSAL,
}
_WRITTEN = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTEXT: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.REFUSAL: "content_filter",
    Finish.PAUSE: "stop",
}
TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
"""Service tiers of an answer."""


def read_finish(reason: str | None, *, called: bool, refused: bool) -> Finish:
    """What a `finish_reason` means; one that is unknown or missing is a stop.

    Args:
        reason: as it was told.
        called: tools were called; sloppy servers say `stop` then.
        refused: the model declined, which OpenAI tells by the message alone.
    """
    finish = _READ.get(reason or "", Finish.STOP)
    if finish is Finish.STOP and called:
        return Finish.TOOL_CALLS
    if finish is Finish.STOP and refused:
        return Finish.REFUSAL
    return finish


def write_finish(finish: Finish, *, refused: bool, legacy: bool = False) -> str:
    """The `finish_reason`.

    Args:
        finish: of the reply.
        refused: the model's own words say that it declines; then OpenAI says `stop`.
        legacy: the caller knows functions and no tools.
    """
    if legacy and finish is Finish.TOOL_CALLS:
        return "function_call"
    return "stop" if refused and finish is Finish.REFUSAL else _WRITTEN[finish]


def write_tier(tier: str | None) -> str | None:
    """The `service_tier` of an answer; None when it is unknown here."""
    if tier == "standard":
        return "default"
    return tier if tier in TIERS else None


def finish_losses(finish: Finish, stop_sequence: str | None, tier: str | None) -> list[str]:
    """What of an end can't be said."""
    lost = []
    if stop_sequence is not None:
        lost.append("stop_sequence")
    if finish is Finish.PAUSE:
        lost.append("finish_reason")
    if tier is not None and write_tier(tier) is None:
        lost.append("service_tier")
    return lost
