"""What routing knows of a target's health, as values, and the numbers that rule it. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["closed", "open", "half_open", "cooling"]
"""`closed`: calls pass. `open`: none does until `until`. `half_open`: one call at a time tries.
`cooling`: the provider asked for patience until `until`."""


class TargetHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a target as one process sees it.

    Attributes:
        state: of its breaker.
        wait: seconds until a call may pass again; zero when it may now.
        reason: the code of the error that closed it to calls.
        latency: seconds from a request to the head of its answer, decayed towards the present;
            None while nothing was measured.
        stream_latency: the same for streams.
        open_calls: attempts of this process that are under way.
    """

    state: State = "closed"
    wait: float = 0.0
    reason: str | None = None
    latency: float | None = None
    stream_latency: float | None = None
    open_calls: int = 0


HEALTHY = TargetHealth()


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """A target's health for people to read.

    Attributes:
        provider, model: the target.
        state, wait, reason, open_calls: see `TargetHealth`.
        latency_ms, stream_latency_ms: whole milliseconds; None while nothing was measured.
        recent_failures, recent_outcomes: of the last seconds, see `HealthPolicy.window_seconds`.
    """

    provider: str
    model: str
    state: State
    wait: float
    reason: str | None
    latency_ms: int | None
    stream_latency_ms: int | None
    open_calls: int
    recent_failures: int
    recent_outcomes: int


class HealthNews(msgspec.Struct, frozen=True, kw_only=True):
    """What one process tells the others of a target. Nothing of a call is in it.

    Attributes:
        provider, model: the target.
        kind: `open` or `closed` of its breaker, or that it is `cooling`.
        wait: seconds from now until its time is over; zero for `closed`.
        age: seconds since it happened.
        opens: how often its breaker has opened one after another, for the length of the next time.
        reason: the code of the error.
    """

    provider: str
    model: str
    kind: Literal["open", "closed", "cooling"]
    wait: float
    age: float
    opens: int = 0
    reason: str | None = None


class HealthPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When targets are closed to calls, for how long, and how often a call may be repeated.

    Attributes:
        failures: so many one after another open a breaker.
        failure_share: so large a part of at least `least_outcomes` outcomes within
            `window_seconds` opens it too.
        least_outcomes: see there.
        window_seconds: see there.
        open_seconds: for which it is open at first; doubled with every failed probe.
        longest_open_seconds: the most of that, unless it is longer at first.
        jitter: the part by which a time open is longer or shorter by chance, so that processes
            and targets do not all try at once.
        cooldown_seconds: after a provider's 429 that names no time; doubled when it comes again.
        longest_unnamed_cooldown: the most of that.
        longest_cooldown: the most that a provider may ask for.
        repeats_saved: most repeats that a target's retry budget has, and has at the start.
        repeats_earned: how much of a repeat every first try of a call earns.
        half_life: seconds after which a measured latency counts half.
        latency_memory: seconds after which a latency that was not measured again is forgotten, so
            that a target that was slow once is tried again.
        failure_latency: seconds that a failure counts as at least.
        probe_wait: seconds that a caller may expect to wait while another one's call probes.
    """

    failures: int = 5
    failure_share: float = 0.5
    least_outcomes: int = 20
    window_seconds: int = 10
    open_seconds: float = 5.0
    longest_open_seconds: float = 60.0
    jitter: float = 0.2
    cooldown_seconds: float = 1.0
    longest_unnamed_cooldown: float = 10.0
    longest_cooldown: float = 60.0
    repeats_saved: int = 10
    repeats_earned: float = 0.2
    half_life: float = 10.0
    latency_memory: float = 60.0
    failure_latency: float = 10.0
    probe_wait: float = 1.0

    @property
    def longest_open(self) -> float:
        """The longest time open in seconds, by chance included."""
        return max(self.open_seconds, self.longest_open_seconds) * (1 + self.jitter)
