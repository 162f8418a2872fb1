"""The health of all targets as this process knows it: what calls ask before and tell afterwards.

It owns the breakers, latencies and retry budgets of the targets that are in use, and nothing else:
it knows neither routes nor Redis. No lock is held while anything waits, and no call waits here.
Its memory is bounded: callers make up names of models (`provider/anything`), so targets that are
closed and idle are forgotten, the longest unused first.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

import msgspec

from torana.errors import ToranaError
from torana.inference.target_record import TargetRecord
from torana.routing.breaker import Change, Pass
from torana.routing.health import (
    HEALTHY,
    HealthNews,
    HealthPolicy,
    State,
    TargetHealth,
    TargetView,
)
from torana.routing.verdicts import verdict_of

MOST_TARGETS = 4096
_LONGEST_MODEL = 200
"""Longer names share a record with those that begin alike: nobody serves such a model."""
_LOOKED_AT = 64
"""Records that are looked at to find one to forget."""

_EVENTS: dict[Change, str] = {
    "opened": "target.opened",
    "closed": "target.closed",
    "cooling": "target.cooling",
}

Key = tuple[str, str]
logger = logging.getLogger("torana.health")


class HealthMetrics(Protocol):
    """What is told to the metrics."""

    def target_state(self, provider: str, model: str, state: State) -> None:
        """The state of a target."""

    def breaker_transition(self, provider: str, to: Change) -> None:
        """This process has changed it."""


class NoMetrics:
    """Tells nobody."""

    def target_state(self, provider: str, model: str, state: State) -> None:
        """Nothing."""

    def breaker_transition(self, provider: str, to: Change) -> None:
        """Nothing."""


class ProbeWish(msgspec.Struct, frozen=True):
    """A target that waits for a probe.

    Attributes:
        provider, model: the target.
        wanted: a call of this process would be one, or is.
    """

    provider: str
    model: str
    wanted: bool


class Attempt:
    """One attempt of a call at a target. `ended` is told in any case.

    Attributes:
        probe: whether it tries, alone, if the target works again.
    """

    __slots__ = ("_began", "_health", "_open", "_passed", "_record", "_streamed", "probe")

    def __init__(
        self, health: Health, record: TargetRecord, passed: Pass, *, streamed: bool
    ) -> None:
        self._health = health
        self._record = record
        self._passed = passed
        self._streamed = streamed
        self._began = passed.began
        self._open = True
        self.probe = passed.probe

    def answered(self, seconds: float) -> None:
        """The head of a good answer came after so long."""
        self._health.note_answer(self._record, self._passed, seconds, streamed=self._streamed)

    def ended(self, error: ToranaError | None) -> None:
        """It is over, well or with `error`. Told twice, only the first counts."""
        if self._open:
            self._open = False
            self._health.note_end(self._record, self._passed, error, streamed=self._streamed)


class Health:
    """The registry. One per process; all of it may be called from any thread.

    Args:
        policy: the numbers.
        metrics: are told of every state.
        clock: monotonic seconds.
        chance: numbers from 0 to 1.
        most: how many targets are remembered.

    Attributes:
        shared: whether other processes hear of this one's targets, and probes need a lease. Set
            by what shares them.
    """

    def __init__(
        self,
        policy: HealthPolicy = HealthPolicy(),  # noqa: B008 -- a frozen value
        *,
        metrics: HealthMetrics = NoMetrics(),  # noqa: B008 -- it has no state
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        most: int = MOST_TARGETS,
    ) -> None:
        self._policy = policy
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._most = most
        self._lock = threading.Lock()
        self._records: OrderedDict[Key, TargetRecord] = OrderedDict()
        """The longest unused first."""
        self._restless: dict[Key, TargetRecord] = {}
        """Those that are not closed, or were not when last looked at."""
        self._untold: set[tuple[Key, Change]] = set()
        """Changes that other processes have not heard of; only of targets that are remembered."""
        self.shared = False

    def view(self, provider: str, model: str) -> TargetHealth:
        """How a target is."""
        with self._lock:
            record = self._records.get(_key(provider, model))
            return HEALTHY if record is None else record.view(self._clock(), shared=self.shared)

    def all(self) -> list[TargetView]:
        """All targets that are remembered, by name."""
        with self._lock:
            now = self._clock()
            return sorted(
                (record.told(now, shared=self.shared) for record in self._records.values()),
                key=lambda view: (view.provider, view.model),
            )

    def enter(
        self, provider: str, model: str, *, streamed: bool, again: bool = False
    ) -> Attempt | None:
        """Begin an attempt, unless the target is closed to calls.

        Args:
            provider: the target's.
            model: the target's.
            streamed: a stream is asked for.
            again: the same call has tried this target before.
        """
        with self._lock:
            now = self._clock()
            record = self._record(provider, model)
            passed = record.enter(now, shared=self.shared, again=again)
        return None if passed is None else Attempt(self, record, passed, streamed=streamed)

    def may_repeat(self, provider: str, model: str) -> bool:
        """Whether a call may be sent to the same target again; takes a token of its budget."""
        with self._lock:
            return self._record(provider, model).budget.take()

    def note_answer(
        self, record: TargetRecord, passed: Pass, seconds: float, *, streamed: bool
    ) -> None:
        """See `Attempt.answered`."""
        with self._lock:
            now = self._clock()
            record.latency(streamed=streamed).measured(now, seconds)
            change = record.breaker.answered(passed, now) if streamed else None
        self._changed(record, change)

    def note_end(
        self, record: TargetRecord, passed: Pass, error: ToranaError | None, *, streamed: bool
    ) -> None:
        """See `Attempt.ended`."""
        verdict = verdict_of(error)
        with self._lock:
            change = record.ended(self._clock(), passed, verdict, error, streamed=streamed)
        self._changed(record, change)

    def checked(self, provider: str, models: Iterable[str], error: ToranaError | None) -> None:
        """A check of a provider was made, for its known targets and for `models`."""
        verdict = verdict_of(error)
        if verdict not in {"success", "failure"}:
            return
        reason = None if error is None or verdict == "success" else error.code
        with self._lock:
            now = self._clock()
            keys = {_key(provider, model) for model in models}
            keys |= {key for key in self._records if key[0] == provider}
            records = [self._record(*key) for key in sorted(keys)]
            changes = [(record, record.breaker.checked(now, reason)) for record in records]
        for record, change in changes:
            self._changed(record, change)

    # --- what is shared with other processes ---------------------------------------------------

    def tick(self) -> None:
        """Notice what time has changed; for the metrics, which nobody asks to look."""
        with self._lock:
            now = self._clock()
            states = [(record, record.breaker.state(now)) for record in self._restless.values()]
            for record, state in states:
                if state == "closed":
                    del self._restless[record.key]
        for record, state in states:
            self._metrics.target_state(*record.key, state)

    def changes(self) -> list[HealthNews]:
        """What this process has changed since it was last asked, as it is now."""
        with self._lock:
            untold, self._untold = self._untold, set()
            now = self._clock()
            news = [self._records[key].news(now, change) for key, change in untold]
        return [each for each in news if each is not None]

    def present(self) -> list[HealthNews]:
        """All that is closed to calls at present, whoever has closed it."""
        with self._lock:
            now = self._clock()
            news = [
                record.news(now, change)
                for record in self._restless.values()
                for change in ("opened", "cooling")
            ]
        return [each for each in news if each is not None]

    def keep_changes(self, news: Iterable[HealthNews]) -> None:
        """What `changes` gave could not be told; it gives it again."""
        kinds: dict[str, Change] = {"open": "opened", "closed": "closed", "cooling": "cooling"}
        with self._lock:
            for each in news:
                key = _key(each.provider, each.model)
                if key in self._records:
                    self._untold.add((key, kinds[each.kind]))

    def adopt(self, news: HealthNews) -> None:
        """Another process has told this."""
        with self._lock:
            record = self._record(news.provider, news.model)
            change = record.adopt(self._clock(), news)
        self._changed(record, change, own=False)

    def probe_wishes(self) -> list[ProbeWish]:
        """The targets whose time is over, and which wait for a probe."""
        with self._lock:
            now = self._clock()
            return [
                ProbeWish(*record.key, record.wants_to_probe(now))
                for record in self._restless.values()
                if record.breaker.state(now) == "half_open"
            ]

    def lease(self, provider: str, model: str, seconds: float, *, own: bool) -> None:
        """The lease to probe a target is this process's for so long, or another's."""
        with self._lock:
            record = self._records.get(_key(provider, model))
            if record is not None:
                turn = record.turn
                (turn.granted if own else turn.elsewhere)(self._clock(), seconds)

    def _record(self, provider: str, model: str) -> TargetRecord:
        """The record of a target, new if need be; the lock is held."""
        key = _key(provider, model)
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
            return record
        record = TargetRecord(key, self._policy, self._chance)
        if len(self._records) < self._most or self._forget_one():
            self._records[key] = record
        # Else all are in use: this one is forgotten with its call, which passes.
        return record

    def _forget_one(self) -> bool:
        now = self._clock()
        for key, record in islice(self._records.items(), _LOOKED_AT):
            if not record.open_calls and record.breaker.state(now) == "closed":
                del self._records[key]
                self._restless.pop(key, None)
                self._untold.difference_update((key, change) for change in _EVENTS)
                return True
        return False

    def _changed(self, record: TargetRecord, change: Change | None, *, own: bool = True) -> None:
        """Log and count a change; the lock is not held."""
        if change is None:
            return
        with self._lock:
            now = self._clock()
            if self._records.get(record.key) is record:
                self._restless[record.key] = record
                if own:
                    self._untold.add((record.key, change))
            breaker = record.breaker
            state, wait, reason = breaker.state(now), breaker.wait(now), breaker.reason
        provider, model = record.key
        logger.log(
            logging.WARNING if own and change == "opened" else logging.INFO,
            _EVENTS[change],
            extra={
                "provider": provider,
                "target_model": model,
                "reason": reason,
                "seconds": round(wait, 3),
                "shared": not own,
            },
        )
        self._metrics.target_state(provider, model, state)
        if own:
            self._metrics.breaker_transition(provider, change)


def _key(provider: str, model: str) -> Key:
    return provider, model[:_LONGEST_MODEL]
