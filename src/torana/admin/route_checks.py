"""What a route must be like. Every refusal says which field, what is wrong and what would do."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby

import msgspec

from torana.errors import InvalidRequest
from torana.routing.routes import DIALECTS, STRATEGIES, CacheTerms, Deadlines, Route, RouteTarget

NAME_LIMIT = 200
MOST_TARGETS = 100
MOST_WEIGHT = 1000
MOST_PRIORITY = 100
MOST_ATTEMPTS = 10
MOST_SECONDS = 86_400
MOST_CACHE_SECONDS = 30 * 86_400
MOST_CACHE_BYTES = 16 * 1024 * 1024
_MOST_TOKENS = 10**9
_REGION_LIMIT = 64


def is_route_name(name: str) -> bool:
    """Whether callers can ask for a route by a name."""
    return 0 < len(name) <= NAME_LIMIT and name.isprintable() and name == name.strip()


def check_route(route: Route, providers: Collection[str]) -> None:
    """See whether a route can be kept.

    Args:
        route: as somebody wants it.
        providers: the names that its targets may have.

    Raises:
        InvalidRequest: it can't; `param` names the field.
    """
    try:
        # A route that was made by hand may hold what its types do not allow.
        msgspec.convert(msgspec.to_builtins(route), Route)
    except msgspec.ValidationError as error:
        _check_strategy(route.strategy)
        raise InvalidRequest(f"The route is not usable: {error}.", param="route") from None
    if not is_route_name(route.name):
        raise InvalidRequest(
            f"A route's name has 1 to {NAME_LIMIT} printable characters, and no space at its ends.",
            param="name",
        )
    if not 0 < len(route.targets) <= MOST_TARGETS:
        raise InvalidRequest(f"A route has 1 to {MOST_TARGETS} targets.", param="targets")
    for index, target in enumerate(route.targets):
        _check_target(target, f"targets[{index}]", providers)
    _check_together(route.targets)
    if route.attempts is not None:
        _check_range("attempts", route.attempts, 1, MOST_ATTEMPTS)
    _check_deadlines(route.deadlines)
    if route.cache is not None:
        _check_cache(route.cache)


def _check_strategy(strategy: str) -> None:
    if strategy not in STRATEGIES:
        raise InvalidRequest(
            f"There is no strategy {str(strategy)[:40]!r}; there are {', '.join(STRATEGIES)}.",
            param="strategy",
        )


def _check_target(target: RouteTarget, field: str, providers: Collection[str]) -> None:
    if target.provider not in providers:
        raise InvalidRequest(
            f"There is no provider {target.provider[:64]!r}; there are {', '.join(providers)}.",
            param=f"{field}.provider",
        )
    if not is_route_name(target.model):
        raise InvalidRequest(
            f"A model's name has 1 to {NAME_LIMIT} printable characters, and no space at its ends.",
            param=f"{field}.model",
        )
    _check_range(f"{field}.priority", target.priority, 0, MOST_PRIORITY)
    _check_range(f"{field}.weight", target.weight, 0, MOST_WEIGHT)
    if target.max_output is not None:
        _check_range(f"{field}.max_output", target.max_output, 1, _MOST_TOKENS)
    region = target.region
    if region is not None and (
        not 0 < len(region) <= _REGION_LIMIT or not region.isascii() or not region.isprintable()
    ):
        raise InvalidRequest(
            f"A region has 1 to {_REGION_LIMIT} printable ASCII characters.",
            param=f"{field}.region",
        )
    _check_when(target, f"{field}.when")


def _check_when(target: RouteTarget, field: str) -> None:
    when = target.when
    known = list(DIALECTS.values())
    for dialect in when.dialects:
        if dialect not in known:
            raise InvalidRequest(
                f"There is no dialect {dialect[:40]!r}; there are {', '.join(known)}.",
                param=f"{field}.dialects",
            )
    bounds = (when.min_input_tokens, when.max_input_tokens)
    for name, bound in zip(("min_input_tokens", "max_input_tokens"), bounds, strict=True):
        if bound is not None:
            _check_range(f"{field}.{name}", bound, 0, _MOST_TOKENS)
    least, most = bounds
    if least is not None and most is not None and least > most:
        raise InvalidRequest(
            f"No prompt has at least {least} and at most {most} tokens.",
            param=f"{field}.min_input_tokens",
        )


def _check_together(targets: tuple[RouteTarget, ...]) -> None:
    seen: set[tuple[str, str, str | None, bytes]] = set()
    for index, target in enumerate(targets):
        key = (target.provider, target.model, target.region, msgspec.json.encode(target.when))
        if key in seen:
            raise InvalidRequest(
                f"{target.provider}/{target.model} is there twice under the same conditions.",
                param=f"targets[{index}]",
            )
        seen.add(key)
    by_priority = sorted(targets, key=lambda target: target.priority)
    for priority, group in groupby(by_priority, key=lambda target: target.priority):
        if sum(target.weight for target in group) == 0:
            raise InvalidRequest(
                f"Of the targets of priority {priority}, at least one needs a weight above 0.",
                param="targets",
            )


def _check_deadlines(deadlines: Deadlines) -> None:
    for name, seconds in msgspec.structs.asdict(deadlines).items():
        if seconds is not None and not 0 < seconds <= MOST_SECONDS:
            raise InvalidRequest(
                f"A deadline is more than 0 and at most {MOST_SECONDS} seconds, not {seconds:g}.",
                param=f"deadlines.{name}",
            )


def _check_cache(cache: CacheTerms) -> None:
    _check_range("cache.seconds", cache.seconds, 1, MOST_CACHE_SECONDS)
    _check_range("cache.max_bytes", cache.max_bytes, 1, MOST_CACHE_BYTES)


def _check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequest(f"{field} is {value}; it is {least} to {most}.", param=field)
