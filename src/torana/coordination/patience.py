"""For how long something that failed is left alone. Pure: the time is an argument."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 5.0


class Patience:
    """Remembers failures, so that callers pay for an outage once and not each.

    After a failure nobody asks for a while; then one asks, and the others do not wait for the
    outcome. Each further failure doubles the while, a success ends it.

    Attributes:
        failures: one after another.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._until = 0.0
        self._asking = False

    def may_ask(self, now: float) -> bool:
        """Whether to ask now; the outcome is told by one of the methods below."""
        if not self.failures:
            return True
        if now < self._until or self._asking:
            return False
        self._asking = True
        return True

    def succeeded(self) -> None:
        """It has answered."""
        self.failures = 0
        self._asking = False

    def failed(self, now: float) -> None:
        """It has not."""
        self._asking = False
        if self.failures and now < self._until:
            # Asked before the pause began, together with the one whose failure began it.
            return
        self._until = now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures, 16))
        self.failures += 1

    def abandoned(self) -> None:
        """Nothing was learnt; the next one may ask."""
        self._asking = False
