"""How soon a target answers: an average in which the past fades with time. Pure."""

from __future__ import annotations

from torana.routing.health import HealthPolicy


class Latency:
    """An exponentially decayed average: after a half-life a measurement counts half.

    The weights depend on the time between measurements, not on their number, so that a burst does
    not wipe out what was before it, and an hour-old figure says nothing after one new one.
    """

    def __init__(self, policy: HealthPolicy) -> None:
        self._policy = policy
        self._sum = 0.0
        self._weight = 0.0
        self._at = 0.0

    def measured(self, now: float, seconds: float) -> None:
        """An answer has begun after so long."""
        faded = 0.5 ** (max(0.0, now - self._at) / self._policy.half_life)
        self._sum = self._sum * faded + seconds
        self._weight = self._weight * faded + 1.0
        self._at = now

    def failed(self, now: float, seconds: float) -> None:
        """None came. A target that fails at once must not look like the fastest."""
        self.measured(now, max(seconds, self._policy.failure_latency))

    def value(self, now: float) -> float | None:
        """The average in seconds; None while nothing was measured lately."""
        if not self._weight or now - self._at > self._policy.latency_memory:
            return None
        return self._sum / self._weight
