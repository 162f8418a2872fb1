"""Where a call would go and why, for people: the plan of a call as values."""

from __future__ import annotations

import msgspec

from torana.core.money import format_usd
from torana.inference.course import Course
from torana.routing.routes import Route


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A target that the call may go to.

    Attributes:
        score: what the strategy has ordered it by, less first; None where the order is fixed.
        reason: in words.
        state: of its breaker; see `torana.routing.health`.
        wait_seconds: until it takes calls again.
        bound_usd: the most that the call can cost there, None without a price.
        dialect: in which the call goes there.
        lost: what of it can't be said in that.
    """

    provider: str
    model: str
    priority: int
    weight: int
    score: float | None
    reason: str
    state: str
    wait_seconds: float
    bound_usd: str | None
    dialect: str
    lost: list[str]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A target that the call does not go to, and why."""

    provider: str
    model: str
    reason: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a call: `chosen` in the order in which they are asked."""

    route: str
    strategy: str
    sticky: bool
    chosen: list[Candidate]
    skipped: list[Skipped]


def explanation(route: Route, course: Course) -> Explanation:
    """Explain the course of a call."""
    chosen = []
    for leg in course.legs():
        one, plan = leg.candidate, leg.plan
        chosen.append(
            Candidate(
                provider=one.target.provider,
                model=one.target.model,
                priority=one.entry.priority,
                weight=one.entry.weight,
                score=one.score,
                reason=one.reason,
                state=one.health.state,
                wait_seconds=one.health.wait,
                bound_usd=None if one.target.price is None else format_usd(plan.bound_nano()),
                dialect=plan.wire.dialect.route,
                lost=list(plan.wire.lost),
            )
        )
    return Explanation(
        route=route.name,
        strategy=route.strategy,
        sticky=route.sticky,
        chosen=chosen,
        skipped=[
            Skipped(provider=one.entry.provider, model=one.entry.model, reason=one.reason)
            for one in course.found.skipped
        ]
        + [
            Skipped(provider=one.provider, model=one.model, reason=why.message)
            for one, why in course.left_out
        ],
    )
