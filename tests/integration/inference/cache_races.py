"""What must hold when identical calls come at once.

`test_cache_races.py` runs each check under threads; `cache_under_gevent.py` runs them all in a
process that gevent has patched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.integration.inference.cache_scene import (
    ANSWER,
    SECONDS,
    Caller,
    Link,
    RedisServer,
    a_cache,
    enter,
    eventually,
    hits,
    leads,
    shared_redis,
)
from torana.errors import CallerGone, Draining
from torana.inference.cache import CLAMPED_HEADER, AnswerCache, Lead
from torana.inference.idempotency import StoredAnswer
from torana.routing.routes import CacheTerms


def waiting(cache: AnswerCache) -> int:
    """How many calls of a process wait for another of it."""
    flights = cache._flights._flights
    return sum(len(flight.waiting) for flight in list(flights.values()))


def check_of_fifty_identical_calls_one_leads(server: RedisServer) -> None:
    with shared_redis(server.url) as redis:
        cache = a_cache(redis)
        made: list[Lead] = []

        def make(lead: Lead) -> None:
            made.append(lead)
            eventually(lambda: waiting(cache) == 49)
            lead.keep(ANSWER)

        callers = [Caller(cache, make) for _ in range(50)]
        turns = [caller.ended().turn for caller in callers]
        assert len(made) == 1
        for turn in turns:
            if turn is not made[0]:
                assert turn is not None
                hits(turn)
        assert waiting(cache) == 0
        assert len(cache._flights) == 0


def check_of_identical_calls_in_several_processes_one_leads(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        caches = [a_cache(one), a_cache(other)]
        made: list[Lead] = []

        def make(lead: Lead) -> None:
            made.append(lead)
            eventually(lambda: sum(map(waiting, caches)) == 18)
            lead.keep(ANSWER)

        callers = [Caller(cache, make) for cache in caches for _ in range(10)]
        for caller in callers:
            caller.ended()
        assert len(made) == 1
        assert sum(caller.has_led for caller in callers) == 1


def check_when_a_leader_fails_one_of_the_others_leads(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        caches = [a_cache(one), a_cache(other)]
        leading, most, made = 0, 0, 0
        lock = threading.Lock()

        def make(lead: Lead) -> None:
            nonlocal leading, most, made
            with lock:
                leading += 1
                made += 1
                most = max(most, leading)
                last = made == 5
            time.sleep(0.02)
            with lock:
                leading -= 1
            if last:
                lead.keep(ANSWER)

        callers = [Caller(cache, make) for cache in caches for _ in range(10)]
        for caller in callers:
            caller.ended()
        assert (made, most) == (5, 1)
        assert sum(caller.has_led for caller in callers) == 5


def check_an_answer_that_is_too_large_is_shared_in_its_process_alone(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        cache, remote = a_cache(one), a_cache(other)
        terms = CacheTerms(seconds=300, max_bytes=10)
        lead = leads(enter(cache, terms=terms))
        locals_ = [Caller(cache, terms=terms) for _ in range(5)]
        remotes = [Caller(remote, terms=terms) for _ in range(5)]
        eventually(lambda: (waiting(cache), waiting(remote)) == (5, 4))
        lead.keep(ANSWER)
        lead.leave()
        assert not any(caller.ended().has_led for caller in locals_)
        assert all(caller.ended().has_led for caller in remotes)


def check_an_answer_cut_short_by_a_budget_sends_each_on_its_way(server: RedisServer) -> None:
    with shared_redis(server.url) as redis:
        cache = a_cache(redis)
        lead = leads(enter(cache))
        callers = [Caller(cache) for _ in range(5)]
        eventually(lambda: waiting(cache) == 5)
        lead.keep(StoredAnswer(b"{}", {CLAMPED_HEADER: "5"}, streamed=False))
        assert all(caller.ended().has_led for caller in callers)
        assert all(caller.seconds < SECONDS / 2 for caller in callers)


def check_a_caller_that_hangs_up_stops_waiting(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        cache, remote = a_cache(one), a_cache(other)
        lead = leads(enter(cache))
        links = [Link(), Link(), Link()]
        callers = [
            Caller(place, link=link)
            for place, link in zip((cache, remote, remote), links, strict=True)
        ]
        eventually(lambda: all(link.watched for link in links))
        for link, caller in zip(links, callers, strict=True):
            link.hang_up()
            assert isinstance(caller.ended().error, CallerGone)
        assert not any(link.watched for link in links)
        assert (waiting(cache), len(remote._flights)) == (0, 0)
        lead.keep(ANSWER)
        hits(enter(remote))


def check_those_who_wait_hear_that_the_process_stops(server: RedisServer) -> None:
    with shared_redis(server.url) as redis:
        cache = a_cache(redis)
        stopping = threading.Event()
        lead = leads(enter(cache))
        callers = [Caller(cache, stopping=stopping.is_set) for _ in range(3)]
        eventually(lambda: waiting(cache) == 3)
        stopping.set()
        for caller in callers:
            error = caller.ended().error
            assert isinstance(error, Draining)
            assert error.retry_after == 1
        lead.leave()


def check_a_call_waits_for_half_of_its_time_and_goes_on_alone(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        cache, remote = a_cache(one), a_cache(other)
        lead = leads(enter(cache))
        callers = [Caller(cache, seconds=1.0), Caller(remote, seconds=1.0)]
        for caller in callers:
            assert caller.ended().has_led
            assert 0.45 < caller.seconds < 0.9
        alone = leads(enter(remote, seconds=0.1))
        alone.keep(ANSWER)
        hits(enter(remote))  # What went on alone is kept all the same.
        lead.leave()


def check_a_leader_that_is_slow_keeps_its_lease(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        cache, remote = a_cache(one), a_cache(other)
        lead = leads(enter(cache))
        name = f"torana:cache:{'k' * 64}:lease"
        one.execute([("PEXPIRE", name, 200)])
        cache.renew()
        (left,) = one.execute([("PTTL", name)]) or [0]
        assert left > 4000
        waits = Caller(remote)
        lead.keep(ANSWER)
        assert not waits.ended().has_led
        cache.renew()
        assert one.get(name) is None


def check_a_lease_is_not_renewed_after_its_call_must_be_over(server: RedisServer) -> None:
    with shared_redis(server.url) as redis:
        cache = a_cache(redis)
        lead = leads(enter(cache, seconds=0.05))
        name = f"torana:cache:{'k' * 64}:lease"
        redis.execute([("PEXPIRE", name, 4000)])
        time.sleep(0.06)
        cache.renew()
        (left,) = redis.execute([("PTTL", name)]) or [9999]
        assert left <= 4000
        lead.leave()


def check_a_lease_of_another_is_left_alone(server: RedisServer) -> None:
    with shared_redis(server.url) as one, shared_redis(server.url) as other:
        cache, remote = a_cache(one), a_cache(other)
        name = f"torana:cache:{'k' * 64}:lease"
        for end in (Lead.leave, Lead.refuse, lambda lead: lead.keep(ANSWER)):
            one.execute([("FLUSHALL",)])
            stopped = leads(enter(cache))
            one.delete(name)  # It has expired, as that of a process that was stopped for long.
            following = leads(enter(remote))
            token = other.get(name)
            cache.renew()
            end(stopped)
            assert other.get(name) == token
            following.leave()
            assert other.get(name) is None


CHECKS: dict[str, Callable[[RedisServer], None]] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}
