"""Whose turn it is to probe a target, when several processes would. Pure.

A call never asks another process. It probes where a lease was granted to its process beforehand;
the first call that finds none asks for it, and is refused. Where calls are rare that would refuse
them all: so a target that nobody has tried for a while may be probed without a lease.
"""

from __future__ import annotations

LEASE_SECONDS = 2.0
UNCLAIMED_SECONDS = 2.0
"""After so long without a probe anywhere, a call does not wait for a lease any more."""
_NEVER = float("-inf")


class Turn:
    """What a process knows of the lease to probe one target."""

    def __init__(self) -> None:
        self._wanted_until = _NEVER
        self._granted_until = _NEVER
        self._elsewhere_until = _NEVER

    def may_probe(self, now: float, *, free_since: float) -> bool:
        """Whether a probe may begin here.

        Args:
            now: the time.
            free_since: when the target's time was over.
        """
        if now < self._granted_until:
            return True
        self._wanted_until = now + LEASE_SECONDS
        unclaimed = max(free_since, self._elsewhere_until) + UNCLAIMED_SECONDS
        return now >= unclaimed

    def wanted(self, now: float) -> bool:
        """Whether a call has asked for the lease lately."""
        return now < self._wanted_until

    def granted(self, now: float, seconds: float) -> None:
        """This process has the lease for so long."""
        self._granted_until = now + seconds

    def elsewhere(self, now: float, seconds: float) -> None:
        """Another process has it."""
        self._granted_until = _NEVER
        self._elsewhere_until = now + seconds
