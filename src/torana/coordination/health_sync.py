"""What processes tell each other of the health of targets, through Redis.

It works beside the calls, in a loop; no call waits for it. Everything in Redis may be lost: each
process goes on with what it knows, and tells it again when it is missing there.

Keys: `torana:health` is the table (see `health_table`); `torana:health:version` changes with it, so
that it is read only then; `torana:health:probe:...` are the leases to probe a target.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from torana.coordination.client import Command, SharedRedis
from torana.coordination.health_table import entry_of, field_of, news_of, over
from torana.coordination.leases import give_back, hold, holder
from torana.routing.health import HealthNews
from torana.routing.turns import LEASE_SECONDS

SYNC_SECONDS = 0.25
"""From one round to the next."""
TABLE = "torana:health"
VERSION = "torana:health:version"
_LEASE = "torana:health:probe:"
_LEASE_MS = round(LEASE_SECONDS * 1000)
_MARGIN_SECONDS = 0.5
"""By which a process gives up a lease before it ends."""
_KEPT_MS = 600_000
"""For which the table is kept after its last change."""
_MOST_ENTRIES = 2000
_MOST_LEASES = 64
"""Targets whose leases are looked after in one round."""
_NEVER_READ = b"never read"


class Wish(Protocol):
    """A target that waits for a probe; see `torana.inference.health.ProbeWish`."""

    @property
    def provider(self) -> str:
        """Its provider."""

    @property
    def model(self) -> str:
        """Its model."""

    @property
    def wanted(self) -> bool:
        """Whether this process would probe it."""


class Registry(Protocol):
    """The health that this process knows; see `torana.inference.health.Health`."""

    shared: bool

    def tick(self) -> None:
        """Notice what time has changed."""

    def changes(self) -> list[HealthNews]:
        """What is to be told."""

    def present(self) -> list[HealthNews]:
        """All that is closed to calls."""

    def keep_changes(self, news: Iterable[HealthNews]) -> None:
        """It could not be told."""

    def adopt(self, news: HealthNews) -> None:
        """Another process has told this."""

    def probe_wishes(self) -> Sequence[Wish]:
        """The targets that wait for a probe."""

    def lease(self, provider: str, model: str, seconds: float, *, own: bool) -> None:
        """Who has the lease to probe."""


class HealthSync:
    """Shares the health of targets with other processes; `run_once` is one round.

    Args:
        health: this process's.
        redis: None where there is none: then only the time is noticed.
    """

    def __init__(self, health: Registry, redis: SharedRedis | None) -> None:
        self._health = health
        self._redis = redis
        self._owner = secrets.token_hex(8)
        self._version: bytes | None = _NEVER_READ
        self._table: dict[bytes, bytes] = {}
        """As it was last read."""
        self._held: set[str] = set()
        """Keys of the leases of this process."""

    def run_once(self) -> None:
        """Tell what has changed here, and hear what has changed elsewhere."""
        self._health.tick()
        if self._redis is None:
            return
        self._health.shared = self._exchange(self._redis)
        if not self._health.shared:
            # What comes back may be another Redis, or this one with nothing in it.
            self._version = _NEVER_READ
            self._table = {}
            self._held = set()

    def _exchange(self, redis: SharedRedis) -> bool:
        """One round with Redis; whether it answered to the end."""
        answers = redis.execute([("TIME",), ("GET", VERSION)])
        if answers is None or answers[0] is None:
            return False
        (seconds, microseconds), version = answers
        now = int(seconds) * 1000 + int(microseconds) // 1000
        if version != self._version:
            if not self._hear(redis, now):
                return False
            self._version = version
        # Before the changes are told: a probe that ends meanwhile keeps its lease until they are.
        wishes = self._health.probe_wishes()[:_MOST_LEASES]
        self._tell(redis, now)
        self._claim(redis, wishes)
        return not redis.away

    def _hear(self, redis: SharedRedis, now: int) -> bool:
        """Read the table and adopt what is new in it; whether Redis answered."""
        answers = redis.execute([("HGETALL", TABLE)])
        if answers is None:
            return False
        flat = answers[0] or []
        table = dict(zip(flat[::2], flat[1::2], strict=True))
        for field, value in table.items():
            if self._table.get(field) != value:
                news = news_of(field, value, owner=self._owner, now=now)
                if news is not None:
                    self._health.adopt(news)
        self._table = table
        return True

    def _tell(self, redis: SharedRedis, now: int) -> None:
        """Write what has changed here and what is missing there, and clear away what is over."""
        changes = self._health.changes()
        missing = [news for news in self._health.present() if field_of(news) not in self._table]
        told: dict[bytes, bytes] = {}
        for news in (*missing, *changes):
            field = field_of(news)
            if field in self._table or len(self._table) + len(told) < _MOST_ENTRIES:
                told[field] = entry_of(news, owner=self._owner, now=now)
        stale = [field for field in over(self._table, now) if field not in told]
        commands: list[Command] = []
        if told:
            commands.append(("HSET", TABLE, *(part for pair in told.items() for part in pair)))
        if stale:
            commands.append(("HDEL", TABLE, *stale))
        if not commands:
            return
        # Read again in the next round, also by this process: another may have written meanwhile.
        commands.append(("SET", VERSION, secrets.token_hex(8), "PX", _KEPT_MS))
        commands.append(("PEXPIRE", TABLE, _KEPT_MS))
        answers = redis.execute(commands)
        if answers is None or answers[0] is None:
            self._health.keep_changes(changes)

    def _claim(self, redis: SharedRedis, wishes: Sequence[Wish]) -> None:
        """Take, renew and give back the leases to probe."""
        held: set[str] = set()
        for wish in wishes:
            key = _LEASE + msgspec.json.encode((wish.provider, wish.model)).decode()
            if wish.wanted:
                own = hold(redis, key, self._owner, _LEASE_MS)
                if own:
                    held.add(key)
            else:
                own = holder(redis, key) in {None, self._owner}
            if not own:
                self._health.lease(wish.provider, wish.model, LEASE_SECONDS, own=False)
            elif wish.wanted and (key in self._held or self._is_up_to_date(redis)):
                seconds = LEASE_SECONDS - _MARGIN_SECONDS
                self._health.lease(wish.provider, wish.model, seconds, own=True)
        for key in self._held - held:
            give_back(redis, key, self._owner)
        self._held = held

    def _is_up_to_date(self, redis: SharedRedis) -> bool:
        """Whether nothing was told since this round began.

        Who had a lease before has told how its probe ended before it gave the lease back. That must
        be heard before there is another probe.
        """
        answers = redis.execute([("GET", VERSION)])
        return answers is not None and answers[0] == self._version
