"""The breaker of one target: whether a call may pass. Pure: time and chance are arguments.

    closed --(failures)--> open --(its time is over)--> half-open --(the probe is good)--> closed
                             ^------------------------------(the probe fails)

Cooling stands beside that: the provider works and asks for patience, so no call passes until its
time is over, and then all do. Outcomes of calls that began before the breaker opened say nothing
about what is behind it now and do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torana.routing.health import HealthPolicy, State
from torana.routing.outcomes import RecentOutcomes

Change = Literal["opened", "closed", "cooling"]
"""What an outcome has changed."""
_NEVER = float("-inf")


class Pass:
    """The permission of one call.

    Attributes:
        began: when.
        probe: it tries whether the target works again, alone.
        epoch: how often the breaker had opened before.
    """

    __slots__ = ("began", "epoch", "probe")

    def __init__(self, began: float, epoch: int, *, probe: bool) -> None:
        self.began = began
        self.epoch = epoch
        self.probe = probe


class Breaker:
    """The state of one target.

    Args:
        policy: the numbers.
        chance: gives numbers from 0 to 1.

    Attributes:
        opens: how often it has opened without a success since.
        opened_at, closed_at, cooled_at: when that happened last.
        open_until: when calls may try again.
        cool_until: when the provider's patience is over.
        reason: the code of the error that has closed it to calls last.
        recent: outcomes of the last seconds.
    """

    def __init__(self, policy: HealthPolicy, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self._closed = True
        self._in_a_row = 0
        self._cooled = 0
        self._epoch = 0
        self._probe: Pass | None = None
        self.opens = 0
        self.opened_at = self.closed_at = self.cooled_at = _NEVER
        self.open_until = self.cool_until = _NEVER
        self.reason: str | None = None
        self.recent = RecentOutcomes(policy.window_seconds)

    @property
    def probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None

    def state(self, now: float) -> State:
        """What it is at present."""
        if not self._closed:
            return "open" if now < self.open_until else "half_open"
        return "cooling" if now < self.cool_until else "closed"

    def wait(self, now: float) -> float:
        """Seconds until a call may pass; zero when one may now."""
        wait = self.cool_until - now
        if not self._closed:
            wait = max(wait, self.open_until - now, self._policy.probe_wait if self._probe else 0.0)
        return max(0.0, wait)

    def enter(self, now: float, *, may_probe: bool = True) -> Pass | None:
        """Let a call pass, or not.

        Args:
            now: the time.
            may_probe: whether a probe may begin here; elsewhere another may be under way.
        """
        if now < self.cool_until:
            return None
        if self._closed:
            return Pass(now, self._epoch, probe=False)
        if now < self.open_until or self._probe is not None or not may_probe:
            return None
        self._probe = Pass(now, self._epoch, probe=True)
        return self._probe

    def answered(self, passed: Pass, now: float) -> Change | None:
        """A stream has begun. For a probe that is enough: it may go on for minutes."""
        return self._close_on_trust(now) if passed is self._probe else None

    def succeeded(self, passed: Pass, now: float) -> Change | None:
        """A call ended well."""
        probe = self._free(passed)
        if passed.epoch != self._epoch:
            return None
        self.recent.add(now, failed=False)
        self._in_a_row = self.opens = 0
        if passed.began >= self.cool_until:
            self._cooled = 0
        return self._close(now) if probe else None

    def failed(self, passed: Pass, now: float, reason: str) -> Change | None:
        """A call failed by the fault of its target."""
        probe = self._free(passed)
        if passed.epoch != self._epoch or not (probe or self._closed):
            return None
        self.recent.add(now, failed=True)
        self._in_a_row += 1
        if probe or self._in_a_row >= self._policy.failures or self._mostly_fails(now):
            return self._open(now, reason)
        return None

    def cooled(self, passed: Pass, now: float, reason: str, asked: float | None) -> Change | None:
        """The provider wants no more calls for a while.

        Args:
            passed: the call that was told so.
            now: the time.
            reason: the error's code.
            asked: for how many seconds, if it has said.
        """
        self._free(passed)
        policy = self._policy
        if asked is not None and asked > 0:
            seconds = min(asked, policy.longest_cooldown)
        else:
            if passed.began >= self.cool_until:
                # Told again after it was left alone, and not to one of many calls at once.
                self._cooled = min(self._cooled + 1, 16)
            grown = policy.cooldown_seconds * 2.0 ** max(0, self._cooled - 1)
            seconds = min(grown, policy.longest_unnamed_cooldown)
        return self.cool(now, seconds, reason)

    def released(self, passed: Pass) -> None:
        """A call ended in a way that says nothing of its target."""
        self._free(passed)

    def cool(self, now: float, seconds: float, reason: str | None) -> Change | None:
        """Let nothing pass for so long at least."""
        if now + seconds <= self.cool_until:
            return None
        was_cooling = now < self.cool_until
        self.cool_until = now + seconds
        self.cooled_at = now
        self.reason = reason
        return None if was_cooling else "cooling"

    def open_for(
        self, now: float, seconds: float, reason: str | None, *, opens: int, at: float
    ) -> Change | None:
        """Another process has opened it.

        Args:
            now: the time.
            seconds: how long from now it stays open.
            reason: the error's code.
            opens: how often it has opened.
            at: when it did.
        """
        self.opens = max(self.opens, opens)
        if now + seconds <= self.open_until:
            return None
        was_open = not self._closed
        self._begin_open(now, seconds, reason)
        self.opened_at = at
        return None if was_open else "opened"

    def close(self, now: float, *, at: float) -> Change | None:
        """Another process's probe was good, at `at`."""
        if self._closed:
            return None
        change = self._close(now)
        self.closed_at = at
        return change

    def checked(self, now: float, reason: str | None) -> Change | None:
        """A check of the provider was made, which counts as a probe.

        Args:
            now: the time.
            reason: the code of its error; None when it was good.
        """
        if now < self.open_until or self._probe is not None:
            return None
        if reason is not None:
            return self._open(now, reason)
        # The provider is there; whether this model of it works, the next call tells.
        return None if self._closed else self._close_on_trust(now)

    def _mostly_fails(self, now: float) -> bool:
        outcomes, failures = self.recent.counts(now)
        policy = self._policy
        return outcomes >= policy.least_outcomes and failures >= outcomes * policy.failure_share

    def _free(self, passed: Pass) -> bool:
        """Whether it was the probe; its place is free then."""
        if passed is not self._probe:
            return False
        self._probe = None
        return True

    def _open(self, now: float, reason: str) -> Change:
        policy = self._policy
        grown = policy.open_seconds * 2.0 ** min(self.opens, 16)
        seconds = min(grown, max(policy.open_seconds, policy.longest_open_seconds))
        self._begin_open(now, seconds * (1 + policy.jitter * (2 * self._chance() - 1)), reason)
        self.opens += 1
        return "opened"

    def _begin_open(self, now: float, seconds: float, reason: str | None) -> None:
        self._closed = False
        self._probe = None
        self._epoch += 1
        self._in_a_row = 0
        self.recent.clear()
        self.opened_at = now
        self.open_until = now + seconds
        self.reason = reason

    def _close(self, now: float) -> Change:
        self._closed = True
        self._probe = None
        self._in_a_row = self.opens = 0
        self.recent.clear()
        self.closed_at = now
        self.open_until = min(self.open_until, now)
        return "closed"

    def _close_on_trust(self, now: float) -> Change:
        """Close it; but the next failure, unless a success comes first, opens it again."""
        opens = self.opens
        change = self._close(now)
        self._in_a_row, self.opens = self._policy.failures - 1, opens
        return change
