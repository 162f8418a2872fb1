"""What the answer cache keeps in Redis: sealed answers, and the leases of those who make them.

A value is bound to its key, so that moving one to another key in Redis gives nobody somebody
else's answer. Whatever can't be read is a miss. Redis forgets both kinds by itself.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from torana.core.clock import microseconds, utc_now
from torana.errors import ConfigurationError
from torana.inference.idempotency import Sealing, StoredAnswer
from torana.routing.routes import CacheTerms
from torana.secret_box import SecretBox

PURPOSE = "cached-answers"
LEASE_SECONDS = 5.0
"""A leader that dies keeps others waiting for so long."""
RENEW_SECONDS = 1.5
"""How often a living leader's lease is made longer."""
ALONE_SECONDS = 2.0
"""For how long calls of other processes are told that there is nothing to wait for."""
_ALONE = b"alone"
_RENEWED_AT_ONCE = 200
_IF_OURS = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end "
_RENEW = _IF_OURS + "return redis.call('pexpire', KEYS[1], ARGV[2])"
_RELEASE = _IF_OURS + "return redis.call('del', KEYS[1])"
_SCATTER = _IF_OURS + "return redis.call('set', KEYS[1], ARGV[3], 'PX', ARGV[2])"

logger = logging.getLogger("torana.cache")

Command = tuple[str | bytes | int, ...]
Found = StoredAnswer | Literal["taken", "held", "alone", "away"]
"""An answer; or who makes it: we do, somebody else does, or there is nobody to wait for."""


class Redis(Protocol):
    """The shared Redis; see `torana.coordination.SharedRedis`."""

    def get(self, key: str) -> bytes | None:
        """A value; None when there is none or Redis is away."""

    def execute(self, commands: Sequence[Command]) -> list[Any] | None:
        """An answer for each command, None for one that was refused; None for all when away."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    key: str
    kept_at: int
    """Microseconds since 1970."""
    answer: StoredAnswer


class Lease(msgspec.Struct, frozen=True):
    """The right to make an answer for all processes.

    Attributes:
        name: of it in Redis.
        token: tells its holder from others.
        until: on `time.monotonic()`; it is not made longer after that.
    """

    name: str
    token: bytes
    until: float


class CacheStore:
    """Answers and leases in Redis.

    Args:
        redis: where they are; None keeps nothing.
        box: encrypts the answers.
    """

    def __init__(self, redis: Redis | None, box: SecretBox) -> None:
        self._redis = redis
        self._sealing = Sealing(box, _Entry)
        self._lock = threading.Lock()
        self._leases: set[Lease] = set()

    def read(self, key: str, terms: CacheTerms) -> StoredAnswer | None:
        """An answer that is young enough; None when there is none."""
        sealed = self._redis.get(_answer_name(key)) if self._redis is not None else None
        return self._opened(sealed, key, terms)

    def take(self, key: str, terms: CacheTerms, lease: Lease) -> Found:
        """Take the lease of an answer, unless the answer has come or somebody holds the lease.

        An answer is written before its lease is released, so who gets the lease here and finds no
        answer beside it knows that there is none.
        """
        try:
            # A second time when the lease was released between the two first commands.
            return self._take(key, terms, lease) or self._take(key, terms, lease) or "away"
        except BaseException:
            # The caller was ended meanwhile; nobody shall wait until the lease runs out.
            self._execute(_if_ours(_RELEASE, lease))
            raise

    def _take(self, key: str, terms: CacheTerms, lease: Lease) -> Found | None:
        """See `take`; None when there is no lease afterwards, also because Redis is full."""
        answers = self._execute(
            ("SET", lease.name, lease.token, "PX", _milliseconds(LEASE_SECONDS), "NX"),
            ("GET", lease.name),
            ("GET", _answer_name(key)),
        )
        if answers is None:
            return "away"
        _, holder, sealed = answers
        found = self._opened(sealed, key, terms)
        if found is not None:
            if holder == lease.token:
                self._execute(_if_ours(_RELEASE, lease))
            return found
        if holder == lease.token:
            with self._lock:
                self._leases.add(lease)
            return "taken"
        if holder is None:
            return None
        return "alone" if holder == _ALONE else "held"

    def write(self, key: str, terms: CacheTerms, answer: StoredAnswer, lease: Lease | None) -> None:
        """Keep an answer, and release the lease."""
        sealed = self._sealing.seal(_Entry(key, microseconds(utc_now()), answer))
        kept: Command = ("SET", _answer_name(key), sealed, "PX", _milliseconds(terms.seconds))
        if lease is not None and self._drop(lease):
            self._execute(kept, _if_ours(_RELEASE, lease))
        else:
            self._execute(kept)

    def release(self, lease: Lease) -> None:
        """Give a lease up; whoever waits may take it."""
        if self._drop(lease):
            self._execute(_if_ours(_RELEASE, lease))

    def scatter(self, lease: Lease) -> None:
        """Give a lease up, and tell those who wait that waiting is of no use."""
        if self._drop(lease):
            self._execute(_if_ours(_SCATTER, lease, _milliseconds(ALONE_SECONDS), _ALONE))

    def renew(self) -> None:
        """Make all leases of this process longer: every `RENEW_SECONDS`, in the background."""
        now = time.monotonic()
        with self._lock:
            self._leases = {lease for lease in self._leases if lease.until > now}
            leases = list(self._leases)
        commands = [_if_ours(_RENEW, lease, _milliseconds(LEASE_SECONDS)) for lease in leases]
        for start in range(0, len(commands), _RENEWED_AT_ONCE):
            self._execute(*commands[start : start + _RENEWED_AT_ONCE])

    def _drop(self, lease: Lease) -> bool:
        """Whether a lease was held; it is renewed no more."""
        with self._lock:
            held = lease in self._leases
            self._leases.discard(lease)
        return held

    def _execute(self, *commands: Command) -> list[Any] | None:
        return None if self._redis is None else self._redis.execute(commands)

    def _opened(self, sealed: object, key: str, terms: CacheTerms) -> StoredAnswer | None:
        if not isinstance(sealed, bytes):
            return None
        try:
            entry = self._sealing.open(sealed)
        except (ConfigurationError, msgspec.DecodeError):
            # Another secret, another version, or somebody has written there.
            logger.warning("cache.unreadable")
            return None
        age = microseconds(utc_now()) - entry.kept_at
        return entry.answer if entry.key == key and age < terms.seconds * 1_000_000 else None


def new_lease(key: str, until: float) -> Lease:
    """A lease to be taken for an answer; see `Lease`."""
    return Lease(f"torana:cache:{key}:lease", secrets.token_hex(8).encode(), until)


def _if_ours(script: str, lease: Lease, *arguments: bytes | int) -> Command:
    return ("EVAL", script, 1, lease.name, lease.token, *arguments)


def _answer_name(key: str) -> str:
    return f"torana:cache:{key}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
