"""The retry policy: one immutable value. What may have been processed is never sent twice."""

from __future__ import annotations

import random

import msgspec

from torana.errors import UpstreamError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to try again.

    Attributes:
        attempts: most tries in all, at whichever targets.
        base, cap: seconds of the first and the longest wait; the wait itself is random below that
            ("full jitter"), so that callers do not come back together.
        longest_retry_after: a provider that asks for more patience than this is not waited for.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0
    longest_retry_after: float = 10.0

    def wait(self, error: UpstreamError, tries: int) -> float:
        """Seconds before a target is asked again.

        Args:
            error: how it has failed.
            tries: how many there were in all.
        """
        if error.retry_after is not None:
            return error.retry_after
        return random.uniform(0, min(self.cap, self.base * 2 ** (tries - 1)))  # noqa: S311
