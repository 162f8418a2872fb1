"""Which of a route's targets a call goes to, and in which order: a pure function.

The same values give the same plan: chance comes in as a function, health as values. What a plan
says of its reasons is shown by `torana models explain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import msgspec

from torana.core.money import NANO_PER_USD, UNITS
from torana.routing.catalog import Target
from torana.routing.health import TargetHealth
from torana.routing.routes import Route, RouteTarget, Strategy, When

_USUAL_OUTPUT = 500
"""Output tokens by which prices are compared where the caller names no limit."""
Draw = Callable[[RouteTarget], float]
"""A number from 0 to 1 for a target: chance, or for a sticky route what its conversation gives."""


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What of a call bears on where it goes.

    Attributes:
        dialect: a value of `torana.routing.routes.DIALECTS`.
        tools: it offers tools.
        images: it has images.
        input_tokens: of its prompt, estimated.
        max_output: tokens that the caller allows.
        streamed: it asks for a stream.
        region: the caller wants it answered there only.
    """

    dialect: str
    tools: bool = False
    images: bool = False
    input_tokens: int = 0
    max_output: int | None = None
    streamed: bool = False
    region: str | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A target that may answer.

    Attributes:
        entry: as the route has it.
        target: with what is known of it.
        health: at this moment.
        score: what its strategy has ordered it by; less comes first.
        reason: in words.
    """

    entry: RouteTarget
    target: Target
    health: TargetHealth
    score: float | None = None
    reason: str = ""


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A target that may not answer this call, and why."""

    entry: RouteTarget
    reason: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A plan.

    Attributes:
        ready: who is asked, in this order.
        resting: those of them that take no call at present, the one that is back first in front.
        skipped: those that don't fit the call.
    """

    ready: tuple[Candidate, ...]
    resting: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...]


def order(
    route: Route,
    targets: Sequence[Target],
    features: Features,
    *,
    health: Callable[[Target], TargetHealth],
    draw: Draw,
) -> Order:
    """Put a route's targets into the order in which a call tries them.

    Args:
        route: what the caller asked for.
        targets: of the route, in its order, with what is known of each.
        features: of the call.
        health: of a target.
        draw: chance.
    """
    # A conversation stays where it is, whatever the strategy would choose for another.
    judge = _by_share if route.sticky else _STRATEGIES[route.strategy]
    fitting: list[Candidate] = []
    skipped: list[Skipped] = []
    for entry, target in zip(route.targets, targets, strict=True):
        unfit = _unfit(entry, features)
        if unfit is not None:
            skipped.append(Skipped(entry=entry, reason=unfit))
            continue
        state = health(target)
        score, reason = judge(_Case(entry, target, features, state, draw))
        fitting.append(
            Candidate(entry=entry, target=target, health=state, score=score, reason=reason)
        )
    fitting.sort(key=lambda one: (one.entry.priority, one.score or 0.0))
    resting = sorted(
        (one for one in fitting if one.health.wait > 0), key=lambda one: one.health.wait
    )
    return Order(
        ready=tuple(one for one in fitting if one.health.wait <= 0),
        resting=tuple(resting),
        skipped=tuple(skipped),
    )


# --- conditions --------------------------------------------------------------------------------


def _unfit(entry: RouteTarget, features: Features) -> str | None:
    """Why a target may not answer; None when it may."""
    if features.region is not None and entry.region != features.region:
        return f"its region is {entry.region or 'not told'}, and the call wants {features.region}"
    if entry.weight == 0:
        return "its weight is 0"
    return next(_broken(entry.when, features), None)


def _broken(when: When, features: Features) -> Iterator[str]:
    if when.dialects and features.dialect not in when.dialects:
        yield f"it takes {', '.join(when.dialects)}, and the call is {features.dialect}"
    for name, wanted, found in (
        ("tools", when.tools, features.tools),
        ("images", when.images, features.images),
    ):
        if wanted is not None and wanted != found:
            yield f"it is for calls {'with' if wanted else 'without'} {name}"
    tokens = features.input_tokens
    if when.min_input_tokens is not None and tokens < when.min_input_tokens:
        yield f"it is for prompts of at least {when.min_input_tokens} tokens, not {tokens}"
    if when.max_input_tokens is not None and tokens > when.max_input_tokens:
        yield f"it is for prompts of at most {when.max_input_tokens} tokens, not {tokens}"


# --- strategies --------------------------------------------------------------------------------


class _Case(msgspec.Struct, frozen=True):
    """A target of a call, for a strategy to judge."""

    entry: RouteTarget
    target: Target
    features: Features
    health: TargetHealth
    draw: Draw


Score = tuple[float | None, str]
"""What orders targets of one priority, less first, and its reason."""


def _by_priority(case: _Case) -> Score:
    return None, f"priority {case.entry.priority}"


def _by_share(case: _Case) -> Score:
    """A key whose smallest value falls to each target by its weight (Efraimidis and Spirakis)."""
    weight = case.entry.weight
    return -math.log(max(case.draw(case.entry), 1e-300)) / weight, f"weight {weight}"


def _by_latency(case: _Case) -> Score:
    health = case.health
    seconds = health.stream_latency if case.features.streamed else health.latency
    if seconds is None:
        return 0.0, "its latency is not known"
    return seconds, f"answers begin after {round(seconds * 1000)} ms"


def _by_load(case: _Case) -> Score:
    calls = case.health.open_calls
    return calls / case.entry.weight, f"{calls} calls are open"


def _by_price(case: _Case) -> Score:
    features, price = case.features, case.target.price
    if price is None:
        return math.inf, "it has no price"
    rates = price.terms.rates_for(features.input_tokens)
    output = features.max_output or _USUAL_OUTPUT
    units = rates.input_tokens * features.input_tokens + rates.output_tokens * output
    nano = (rates.request + units) / UNITS
    return nano, f"about {nano / NANO_PER_USD:.6f} USD"


_STRATEGIES: dict[Strategy, Callable[[_Case], Score]] = {
    "priority": _by_priority,
    "weighted": _by_share,
    "least_latency": _by_latency,
    "least_busy": _by_load,
    "cheapest": _by_price,
}
