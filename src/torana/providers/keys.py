"""Which of a provider's keys a call takes: in turns, without those that rest.

A key that was refused, or whose account is empty, rests for a minute; one whose limit is used up
rests until that is full again. The state is this process's own, and lasts as long as the provider's
configuration. Times are given by the caller, on the monotonic clock, so that nothing here waits or
reads one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum

from torana.errors import UpstreamAuth, UpstreamError, UpstreamRateLimited, UpstreamRejected
from torana.providers.options import Credential

REFUSED_SECONDS = 60.0
"""How long a key rests that the provider does not take, or whose account is empty."""
LIMITED_SECONDS = 5.0
"""How long one rests whose limit is used up, where the provider does not say until when."""


class _Rest(Enum):
    REFUSED = "refused"
    LIMITED = "limited"


class _Key:
    __slots__ = ("credential", "rest", "since", "until")

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.rest: _Rest | None = None
        self.since = 0.0
        self.until = 0.0


class KeyRing:
    """The keys of one provider. Safe to use from many threads.

    Args:
        provider: its name, for messages.
        keys: those without a secret are left out.
    """

    def __init__(self, provider: str, keys: Sequence[Credential]) -> None:
        self._provider = provider
        self._keys = [_Key(credential) for credential in keys if credential.secret]
        self._next = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._keys)

    def pick(self, now: float) -> Credential | None:
        """The key for the next request; None for a provider without keys.

        Where all were refused, the one is tried that has rested longest: it may be good again, and
        nothing is lost. A provider's only key is always taken.

        Args:
            now: on `time.monotonic()`.

        Raises:
            UpstreamRateLimited: the limits of all keys that are not refused are used up.
        """
        if len(self._keys) < 2:
            return self._keys[0].credential if self._keys else None
        with self._lock:
            for turn in range(len(self._keys)):
                key = self._keys[(self._next + turn) % len(self._keys)]
                if key.rest is None or key.until <= now:
                    self._next = (self._next + turn + 1) % len(self._keys)
                    return key.credential
            limited = [key.until for key in self._keys if key.rest is _Rest.LIMITED]
            if not limited:
                longest = min(self._keys, key=lambda key: key.since)
                longest.since = now
                return longest.credential
        error = UpstreamRateLimited(
            f"The provider {self._provider!r} has reached the rate limits of all its keys.",
            retry_after=min(limited) - now,
        )
        error.cooldown = min(limited) - now
        raise error

    def find(self, key_id: str) -> Credential | None:
        """A key by its id; None when it is not here."""
        return next((key.credential for key in self._keys if key.credential.id == key_id), None)

    def failed(self, credential: Credential | None, error: UpstreamError, now: float) -> None:
        """Take note of how a request with a key has failed; `error` learns of another key.

        Args:
            credential: that it was sent with.
            error: what it came to; `other_key` and `retryable` are set where another key may do.
            now: on `time.monotonic()`.
        """
        broke = isinstance(error, UpstreamRejected) and error.status == 402
        if isinstance(error, UpstreamAuth) or broke:
            rest, seconds = _Rest.REFUSED, REFUSED_SECONDS
        elif isinstance(error, UpstreamRateLimited):
            seconds = LIMITED_SECONDS if error.cooldown is None else error.cooldown
            rest = _Rest.LIMITED
        else:
            return
        with self._lock:
            for key in self._keys:
                if key.credential is credential:
                    key.rest, key.since, key.until = rest, now, now + seconds
            if any(
                key.credential is not credential and (key.rest is None or key.until <= now)
                for key in self._keys
            ):
                error.other_key = error.retryable = True

    def worked(self, credential: Credential | None) -> None:
        """A request with this key was answered well, so it need not rest any longer."""
        for key in self._keys:
            if key.credential is credential and key.rest is not None:
                with self._lock:
                    key.rest = None
