"""Whose turn it is to probe a target, when several processes would. Pure.

A call never asks another process. It probes where a lease was granted to its process beforehand;
the first call that finds none asks for it, and is refused. Where calls are rare that would refuse
them all: so a target that nobody has tried for a while may be probed without a lease.
"""

from __future__ import annotations

LEASE_SECONDS = 2.0
UNCLAIMED_SECONDS = 2.0
"""After so long without a probe anywhere, a call does not wait for a lease any more."""
GRANT_SECONDS = 0.5
"""Within which a lease that is wanted is usually granted, or the outcome of its probe is known."""
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
        return self._unclaimed(now, free_since)

    def wait(self, now: float, *, free_since: float) -> float:
        """Seconds after which a call that would probe may come; zero when it may now.

        Also zero while nobody has asked for the lease: only a call that comes asks for it.
        """
        if now < self._granted_until or self._unclaimed(now, free_since):
            return 0.0
        if now < self._elsewhere_until or self.wanted(now):
            return GRANT_SECONDS
        return 0.0

    def wanted(self, now: float) -> bool:
        """Whether a call has asked for the lease lately."""
        return now < self._wanted_until

    def _unclaimed(self, now: float, free_since: float) -> bool:
        return now >= max(free_since, self._elsewhere_until) + UNCLAIMED_SECONDS

    def granted(self, now: float, seconds: float) -> None:
        """This process has the lease for so long."""
        self._granted_until = now + seconds

    def elsewhere(self, now: float, seconds: float) -> None:
        """Another process has it."""
        self._granted_until = _NEVER
        self._elsewhere_until = now + seconds
