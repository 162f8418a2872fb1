"""How often calls may be repeated on a target, so that a failing one is not hammered. Pure."""

from __future__ import annotations

from torana.routing.health import HealthPolicy

_REPEAT = 1000
"""One repeat, in thousandths: fractions of a float would not add up."""


class RetryBudget:
    """Repeats saved up by first tries: at most a fixed part of the calls is sent again."""

    def __init__(self, policy: HealthPolicy) -> None:
        self._earned = round(policy.repeats_earned * _REPEAT)
        self._most = policy.repeats_saved * _REPEAT
        self._saved = self._most

    def first_try(self) -> None:
        """A call was sent for the first time."""
        self._saved = min(self._most, self._saved + self._earned)

    def take(self) -> bool:
        """Whether a call may be repeated; if so, that is paid for."""
        if self._saved < _REPEAT:
            return False
        self._saved -= _REPEAT
        return True
