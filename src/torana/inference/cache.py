"""The answer cache: the same request again gets the same answer, and is made once at a time.

It owns who makes an answer and who waits for it, in this process and in others. It knows nothing of
money, providers or dialects. Redis may be away, slow, full or started anew at any moment: then
there are misses, and never errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from pydantic import SecretStr

from torana.dialects.base import Dialect
from torana.dialects.wire import WireRequest
from torana.errors import CallerGone, Draining
from torana.inference.cache_flights import Flights, Place
from torana.inference.cache_key import KEY_PURPOSE, cache_key, scope_of
from torana.inference.cache_store import PURPOSE, CacheStore, Lease, Redis, new_lease
from torana.inference.caller import CallContext
from torana.inference.idempotency import StoredAnswer
from torana.routing.routes import CacheTerms
from torana.secret_box import SecretBox, derive

LONGEST_WAIT_SECONDS = 60.0
"""Most that a call waits for an identical one, or half of its time; then it goes on alone."""
CLAMPED_HEADER = "x-torana-max-output-tokens"
"""Of an answer that the budget of its caller has cut short: others have other budgets."""
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.2
"""Between looks at Redis while another process makes the answer."""
_SLOW_SECONDS = 0.1
"""A Redis that takes so long to say that there is no answer is not asked for a lease as well."""
_LOOK_SECONDS = 0.5
"""How often a call that waits looks whether the service stops."""


class Hit(msgspec.Struct, frozen=True):
    """The answer is there."""

    answer: StoredAnswer


class Lead:
    """The answer is to be made by this call; others may wait for it until `leave`.

    Args:
        store: where the answer goes.
        key: its name.
        terms: how it is kept.
        place: the call's among the identical ones of this process; None when it goes alone.
        lease: of the answer for all processes, where it has one.
    """

    def __init__(
        self,
        store: CacheStore,
        key: str,
        terms: CacheTerms,
        place: Place[StoredAnswer] | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._lease = lease
        self._over = False
        self.terms = terms
        self.place = place

    def keep(self, answer: StoredAnswer) -> None:
        """Keep a good answer, whole and posted, and give it to all who wait for it.

        One that is too large is given to those of this process alone; one that a budget has cut
        short is given to nobody. Does nothing after `keep`, `refuse` or `leave`.
        """
        if CLAMPED_HEADER in answer.headers:
            self.refuse()
        elif self._ends():
            try:
                if len(answer.body) <= self.terms.max_bytes:
                    self._store.write(self._key, self.terms, answer, self._lease)
                elif self._lease is not None:
                    self._store.scatter(self._lease)
            finally:
                self._land(answer)

    def refuse(self) -> None:
        """The answer is good or will be, but can't be kept, as when it is too large.

        Those who wait go on at once, each alone: in a row they would only lose time.
        """
        if self._ends():
            try:
                if self._lease is not None:
                    self._store.scatter(self._lease)
            finally:
                self._land(None)

    def leave(self) -> None:
        """There is no answer to be shared: one of those who wait leads now. Always called last."""
        if self._ends():
            try:
                if self._lease is not None:
                    self._store.release(self._lease)
            finally:
                if self.place is not None:
                    self.place.leave()

    def _ends(self) -> bool:
        over, self._over = self._over, True
        return not over

    def _land(self, answer: StoredAnswer | None) -> None:
        if self.place is not None:
            self.place.land(answer)


class AnswerCache:
    """Answers that are kept for the same request. One per process.

    Args:
        redis: what the processes share; without it calls of this process still wait for one
            another, and nothing is kept.
        keys: the secrets of this installation, newest first.

    Raises:
        ConfigurationError: there is no secret.
    """

    def __init__(self, redis: Redis | None, keys: Sequence[SecretStr]) -> None:
        self._store = CacheStore(redis, SecretBox(keys, PURPOSE))
        self._secret = derive(keys[0], KEY_PURPOSE)
        self._flights: Flights[StoredAnswer] = Flights()

    def key(
        self,
        dialect: Dialect,
        request: WireRequest,
        context: CallContext,
        terms: CacheTerms,
        *,
        revision: str,
    ) -> str:
        """The name of a request's answer; see `cache_key`.

        Args:
            dialect: the caller's.
            request: in it, as it came.
            context: of it.
            terms: of the call.
            revision: of the configuration of the model's route and its guardrails.
        """
        return cache_key(
            self._secret,
            request,
            route=dialect.route,
            scope=scope_of(terms.scope, context.principal),
            revision=revision,
            forwarded=context.forwarded,
            strict=context.strict,
            region=context.region,
        )

    def enter(
        self,
        key: str,
        terms: CacheTerms,
        context: CallContext,
        *,
        until: float,
        stopping: Callable[[], bool],
    ) -> Hit | Lead:
        """Find an answer, wait for one that is being made, or be the one to make it.

        Args:
            key: of the request.
            terms: of the call.
            context: of it; nothing is waited for once its caller has hung up.
            until: when the call must be over, on `time.monotonic()`.
            stopping: whether this process stops.

        Raises:
            CallerGone: the caller hung up while it waited.
            Draining: the process stopped while it waited.
        """
        # Answers that are young enough for one call may be too old for another.
        place = self._flights.join((key, terms.seconds))
        turn: Hit | Lead | None = None
        try:
            if place.leads:
                turn = self._begin(place, key, terms, until)
            if turn is None:
                turn = self._wait(place, key, terms, context, until, stopping)
            return turn
        finally:
            if not isinstance(turn, Lead) or turn.place is not place:
                place.leave()

    def renew(self) -> None:
        """Tell other processes that answers are still being made here: every `RENEW_SECONDS`."""
        self._store.renew()

    def _begin(
        self, place: Place[StoredAnswer], key: str, terms: CacheTerms, until: float
    ) -> Hit | Lead | None:
        began = time.monotonic()
        found = self._store.read(key, terms)
        if found is not None:
            return self._hit(place, found)
        if time.monotonic() - began > _SLOW_SECONDS:
            return Lead(self._store, key, terms, place)
        return self._look(place, key, terms, until)

    def _wait(
        self,
        place: Place[StoredAnswer],
        key: str,
        terms: CacheTerms,
        context: CallContext,
        until: float,
        stopping: Callable[[], bool],
    ) -> Hit | Lead:
        now = time.monotonic()
        give_up = now + min(LONGEST_WAIT_SECONDS, (until - now) / 2)
        pause = _FIRST_PAUSE_SECONDS
        with _watched(context, place):
            while (left := give_up - time.monotonic()) > 0:
                place.wait(min(left, pause if place.leads else _LOOK_SECONDS))
                if context.link.gone():
                    raise CallerGone("The caller hung up.")
                if stopping():
                    raise Draining("The server is stopping; send it again.", retry_after=1)
                if place.answer is not None:
                    return Hit(place.answer)
                if place.alone:
                    break
                if place.leads:
                    turn = self._look(place, key, terms, until)
                    if turn is not None:
                        return turn
                    pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        return Lead(self._store, key, terms)

    def _look(
        self, place: Place[StoredAnswer], key: str, terms: CacheTerms, until: float
    ) -> Hit | Lead | None:
        """What the leader of this process finds in Redis; None while another process leads."""
        lease = new_lease(key, until)
        found = self._store.take(key, terms, lease)
        if isinstance(found, StoredAnswer):
            return self._hit(place, found)
        if found == "held":
            return None
        if found == "alone":
            place.land(None)
            return Lead(self._store, key, terms)
        return Lead(self._store, key, terms, place, lease if found == "taken" else None)

    def _hit(self, place: Place[StoredAnswer], answer: StoredAnswer) -> Hit:
        place.land(answer)
        return Hit(answer)


@contextmanager
def _watched(context: CallContext, place: Place[StoredAnswer]) -> Iterator[None]:
    """Wakes a place when its caller hangs up."""
    unwatch = context.link.watch(lambda _: place.wake())
    try:
        yield
    finally:
        unwatch()
