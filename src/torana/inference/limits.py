"""Limits of time for calls: those of the settings, and where a route has its own, those."""

from __future__ import annotations

from typing import Literal

import msgspec

from torana.inference.caller import CallContext
from torana.inference.retry import RetryPolicy
from torana.outbound.client import Timeouts
from torana.routing.routes import Route


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of time for calls, in seconds; a route may have its own.

    Attributes:
        total: for a call as a whole.
        disconnect: what happens to an answer whose caller has hung up.
        drain: how long it is read on then.
    """

    timeouts: Timeouts
    retry: RetryPolicy
    total: float
    disconnect: Literal["drain", "cancel"] = "drain"
    drain: float

    def timeouts_of(self, route: Route) -> Timeouts:
        """Of one attempt."""
        own = route.deadlines
        return Timeouts(
            connect=own.connect or self.timeouts.connect,
            first_byte=own.first_byte or self.timeouts.first_byte,
            idle=own.idle or self.timeouts.idle,
        )

    def total_of(self, route: Route, context: CallContext) -> float:
        """Of a call with all its attempts."""
        total = route.deadlines.total or self.total
        return total if context.timeout is None else min(total, context.timeout)

    def retry_of(self, route: Route) -> RetryPolicy:
        """How often a call is tried."""
        if route.attempts is None:
            return self.retry
        return msgspec.structs.replace(self.retry, attempts=route.attempts)

    def drain_of(self, route: Route) -> float:
        """How long an answer is read on for a caller who has gone; zero cancels at once."""
        return self.drain if (route.disconnect or self.disconnect) == "drain" else 0.0
