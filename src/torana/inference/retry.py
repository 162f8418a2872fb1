"""The retry policy: one immutable value. What may have been processed is never sent twice."""

from __future__ import annotations

import random

import msgspec

from torana.errors import UpstreamError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to try again.

    Attributes:
        attempts: most tries in all.
        base, cap: seconds of the first and the longest wait; the wait itself is random below that
            ("full jitter"), so that callers do not come back together.
        longest_retry_after: a provider that asks for more patience than this is not waited for.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0
    longest_retry_after: float = 10.0

    def delay(self, error: UpstreamError, tries: int, left: float) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        Args:
            error: how the last try failed.
            tries: how many there were.
            left: seconds that the call still has.
        """
        if tries >= self.attempts or not error.retryable:
            return None
        if error.retry_after is not None:
            if error.retry_after > self.longest_retry_after:
                return None
            wait = error.retry_after
        else:
            wait = random.uniform(0, min(self.cap, self.base * 2 ** (tries - 1)))  # noqa: S311
        return wait if wait < left else None
