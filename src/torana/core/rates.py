"""Rate limits: the generic cell rate algorithm (GCRA) over a stored arrival time. Pure.

A limit of N a minute lets N come at once, and from then on one every 60/N seconds; there is no
window at whose edge N could come twice. The state is one number, the *theoretical arrival time*:
when the bucket will be full again. It is in nanoseconds since 1970, on the database's clock.
"""

from __future__ import annotations

import msgspec

MINUTE = 60_000_000_000
SECOND = 1_000_000_000


class Rate(msgspec.Struct, frozen=True):
    """What is left of one limit.

    Attributes:
        limit: units a minute.
        remaining: units that could come at once.
        reset_seconds: until all could.
    """

    limit: int
    remaining: int
    reset_seconds: float


class RateView(msgspec.Struct, frozen=True):
    """What is left of a call's tightest limits on requests and on tokens."""

    requests: Rate | None = None
    tokens: Rate | None = None


def span(units: int, per_minute: int) -> int:
    """How long so many units take at a rate, in nanoseconds, rounded up."""
    return -(-units * MINUTE // per_minute)


def wait(tat: int, now: int, per_minute: int, units: int) -> int:
    """Nanoseconds until so many units may come; zero when they may come now."""
    return max(0, max(tat, now) + span(units, per_minute) - now - MINUTE)


def taken(tat: int, now: int, per_minute: int, units: int) -> int:
    """The arrival time after so many units have come."""
    return max(tat, now) + span(units, per_minute)


def rate(tat: int, now: int, per_minute: int) -> Rate:
    """What is left of a limit."""
    behind = max(tat, now) - now
    remaining = max(0, (MINUTE - behind) * per_minute // MINUTE)
    return Rate(per_minute, remaining, behind / SECOND)


def tighter(one: Rate | None, other: Rate) -> Rate:
    """The one of which less is left."""
    return other if one is None or other.remaining < one.remaining else one
