"""The course of a call: where it may go, in which order, and in which form it goes there."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from torana.dialects.base import Dialect
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import NoTargetFits, ToranaError, UpstreamError
from torana.inference.caller import CallContext
from torana.inference.health import Health
from torana.inference.keeping import Keeping
from torana.inference.planning import Plan
from torana.providers import Provider
from torana.routing.catalog import Target
from torana.routing.plan import Candidate, Draw, Features, Order, order
from torana.routing.routes import DIALECTS, Route, RouteTarget

_BYTES_PER_TOKEN = 4
_MOST_REASONS = 5
_Planner = Callable[[Target, Provider], tuple[Plan, Keeping]]


class Leg(msgspec.Struct):
    """A target that the call may go to, with the plan for it.

    Attributes:
        keeping: what is to be kept of its answer.
        tries: how often it was asked.
        error: how the last try there failed.
        barred: it can't be asked for this call: a budget has no room for it.
    """

    candidate: Candidate
    plan: Plan
    keeping: Keeping
    provider: Provider
    tries: int = 0
    error: UpstreamError | None = None
    barred: bool = False


class Course:
    """The legs of a call, each planned when it is needed for the first time.

    Args:
        found: the order in which targets are asked.
        provider: gives one by its name.
        planner: plans the call for a target.

    Attributes:
        left_out: targets that could not be planned for, and why.
    """

    def __init__(
        self, found: Order, provider: Callable[[str], Provider], planner: _Planner
    ) -> None:
        self.found = found
        self._provider = provider
        self._planner = planner
        self._unplanned = [*found.ready, *found.resting]
        self._legs: list[Leg] = []
        self.left_out: list[tuple[Target, ToranaError]] = []

    def legs(self) -> Iterator[Leg]:
        """All legs, the best first; those that can't take the request are left out."""
        yield from self._legs
        while self._unplanned:
            candidate = self._unplanned.pop(0)
            try:
                provider = self._provider(candidate.target.provider)
                plan, keeping = self._planner(candidate.target, provider)
            except ToranaError as error:
                # Its provider can't take it, or not without a loss that the caller does not want.
                self.left_out.append((candidate.target, error))
                continue
            leg = Leg(candidate=candidate, plan=plan, keeping=keeping, provider=provider)
            self._legs.append(leg)
            yield leg

    def refusal(self) -> ToranaError:
        """Why there is no leg at all."""
        if self.left_out:
            return self.left_out[0][1]
        reasons = "; ".join(
            f"{one.entry.provider}/{one.entry.model}: {one.reason}"
            for one in self.found.skipped[:_MOST_REASONS]
        )
        return NoTargetFits(
            f"None of the model's targets takes this call ({reasons}).",
            hint="`torana models explain` shows what each is for.",
            param="model",
        )


# --- the order ---------------------------------------------------------------------------------


def ordered(
    dialect: Dialect,
    request: WireRequest,
    route: Route,
    targets: tuple[Target, ...],
    context: CallContext,
    health: Health,
) -> Order:
    """The order in which a route's targets are asked.

    Raises:
        InvalidRequest: the request can't be read as far as the route's conditions need it.
    """
    return order(
        route,
        targets,
        _features(dialect, request, route, context),
        health=lambda target: health.view(target.provider, target.model),
        draw=_draw(request, context) if route.sticky else _chance,
    )


def _features(
    dialect: Dialect, request: WireRequest, route: Route, context: CallContext
) -> Features:
    kept = Features(
        dialect=DIALECTS.get(dialect.route, dialect.route),
        max_output=request.max_output,
        streamed=request.stream,
        region=context.region,
    )
    if not _needs_costs(route):
        return kept
    costs = dialect.read_costs(request)
    return msgspec.structs.replace(
        kept,
        tools=costs.tools,
        images=costs.images > 0,
        input_tokens=-(-costs.text_bytes // _BYTES_PER_TOKEN),
    )


def _needs_costs(route: Route) -> bool:
    """Whether a route asks for more of a call than its first fields say."""
    return route.strategy == "cheapest" or any(
        entry.when.tools is not None
        or entry.when.images is not None
        or entry.when.min_input_tokens is not None
        or entry.when.max_input_tokens is not None
        for entry in route.targets
    )


def _chance(_entry: RouteTarget) -> float:
    return random.random()  # noqa: S311 -- a choice among equals


def _draw(request: WireRequest, context: CallContext) -> Draw:
    """What a conversation gives each target: always the same number.

    So every process chooses the same, and when a target goes away only its own conversations move.
    """
    beginning = _beginning(request)
    project = context.principal.project_id.encode()

    def draw(entry: RouteTarget) -> float:
        digest = hashlib.blake2b(digest_size=8)
        for part in (project, beginning, entry.provider.encode(), entry.model.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
        return (int.from_bytes(digest.digest(), "big") + 1) / (2**64 + 1)

    return draw


def _beginning(request: WireRequest) -> bytes:
    """What stays the same from turn to turn of a conversation.

    The caller's own word for it (`prompt_cache_key`), or the instructions and the first message
    of a user.
    """
    fields = request.fields
    own = fields.get("prompt_cache_key")
    if own is not None and bytes(own) != b"null":
        return bytes(own)
    parts = [bytes(fields[name]) for name in ("system", "instructions") if name in fields]
    for name in ("messages", "input"):
        if name in fields:
            parts += _first_turn(fields[name])
    return b"\0".join(parts)


def _first_turn(value: Any) -> list[bytes]:
    try:
        items = msgspec.json.decode(value, type=list[msgspec.Raw])
    except BAD_JSON:
        return [bytes(value)]
    found = []
    for item in items:
        found.append(bytes(item))
        if b'"user"' in found[-1]:
            break
    return found
