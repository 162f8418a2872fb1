"""How many of a target's last outcomes were failures, in bounded memory. Pure."""

from __future__ import annotations

from collections import deque


class RecentOutcomes:
    """Counts of the last seconds, kept by the second.

    Args:
        seconds: how far back they go, rounded to whole ones.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._kept: deque[list[int]] = deque()
        """Second, outcomes, failures."""

    def add(self, now: float, *, failed: bool) -> None:
        """An attempt has ended."""
        second = int(now)
        self._forget(second)
        if not self._kept or self._kept[-1][0] < second:
            self._kept.append([second, 0, 0])
        self._kept[-1][1] += 1
        self._kept[-1][2] += failed

    def counts(self, now: float) -> tuple[int, int]:
        """Outcomes, and those of them that were failures."""
        self._forget(int(now))
        return sum(kept[1] for kept in self._kept), sum(kept[2] for kept in self._kept)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _forget(self, second: int) -> None:
        while self._kept and self._kept[0][0] <= second - self._seconds:
            self._kept.popleft()
