"""Checks of providers that nobody calls at the moment. Off unless a provider's options ask.

It owns when a provider is due and which process checks it. How a check is made, and what targets a
provider has, is told to it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from torana.coordination.client import SharedRedis
from torana.coordination.leases import hold
from torana.errors import ToranaError

CHECK_LOOP_SECONDS = 1.0
"""From one look at what is due to the next."""
_LEASE = "torana:health:check:"
_SOONEST_SECONDS = 1.0


class CheckPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that wants to be checked.

    Attributes:
        provider: its name.
        seconds: from one check to the next.
        models: of its targets in routes; those that are called anyway are known.
    """

    provider: str
    seconds: float
    models: tuple[str, ...] = ()


class Checked(Protocol):
    """Whoever is told of the outcome; see `torana.inference.health.Health`."""

    def checked(self, provider: str, models: Iterable[str], error: ToranaError | None) -> None:
        """A check of a provider was made."""


class ActiveChecks:
    """Checks the providers that are due; `run_once` is one look.

    One process at a time checks a provider where Redis can tell them apart, else each does. The
    others hear of the outcome as they hear of all changes of health.

    Args:
        health: is told of the outcomes.
        plans: the providers to check at present.
        check: asks a provider for something that costs nothing, in bounded time; its error, or
            None when it answers.
        redis: None where there is none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        health: Checked,
        *,
        plans: Callable[[], Iterable[CheckPlan]],
        check: Callable[[str], ToranaError | None],
        redis: SharedRedis | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._plans = plans
        self._check = check
        self._redis = redis
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._due: dict[str, float] = {}

    def run_once(self) -> None:
        """Check what is due."""
        plans = list(self._plans())
        names = {plan.provider for plan in plans}
        self._due = {name: due for name, due in self._due.items() if name in names}
        for plan in plans:
            now = self._clock()
            if now < self._due.get(plan.provider, now):
                continue
            seconds = max(_SOONEST_SECONDS, plan.seconds)
            self._due[plan.provider] = now + seconds
            if self._is_ours(plan.provider, seconds):
                error = self._check(plan.provider)
                self._health.checked(plan.provider, plan.models, error)

    def _is_ours(self, provider: str, seconds: float) -> bool:
        """Whether this process checks this time; it goes on to while it lives."""
        if self._redis is None:
            return True
        # Longer than a period, so that its holder renews it before another one takes it.
        return hold(self._redis, _LEASE + provider, self._owner, round(seconds * 1500))
