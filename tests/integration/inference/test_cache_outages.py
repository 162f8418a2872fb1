"""Redis stopped, full, killed or started anew under the answer cache: misses, and never errors."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.inference.cache_races import waiting
from tests.integration.inference.cache_scene import (
    ANSWER,
    Caller,
    RedisServer,
    a_cache,
    enter,
    eventually,
    hits,
    leads,
    redis_server,
    shared_redis,
)
from torana.coordination import SharedRedis
from torana.inference.cache import AnswerCache
from torana.inference.cache_store import Command
from torana.inference.idempotency import StoredAnswer
from torana.routing.routes import CacheTerms

# What a call may lose to an outage: one bounded wait of the client and a busy machine.
MOST_SECONDS = 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


@pytest.fixture
def redis(server: RedisServer) -> Iterator[SharedRedis]:
    with shared_redis(server.url) as shared:
        yield shared


@pytest.fixture
def cache(redis: SharedRedis) -> AnswerCache:
    return a_cache(redis)


def keep(cache: AnswerCache) -> None:
    lead = leads(enter(cache))
    lead.keep(ANSWER)
    lead.leave()


def misses_quickly(cache: AnswerCache) -> None:
    """A whole turn without Redis: entering, keeping and leaving."""
    began = time.monotonic()
    keep(cache)
    assert time.monotonic() - began < MOST_SECONDS


def is_back(redis: SharedRedis) -> bool:
    return redis.set("ping", b"1", px=1000)


def test_a_redis_that_is_stopped_costs_one_bounded_wait(server, redis, cache):
    keep(cache)
    server.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            misses_quickly(cache)
    finally:
        server.signal(signal.SIGCONT)
    eventually(lambda: is_back(redis))
    hits(enter(cache))


def test_calls_of_one_process_wait_for_one_another_without_redis(server, cache):
    server.kill()
    made = []

    def make(lead) -> None:
        made.append(lead)
        eventually(lambda: waiting(cache) == 9)
        lead.keep(ANSWER)

    callers = [Caller(cache, make) for _ in range(10)]
    assert sum(caller.ended().has_led for caller in callers) == 1
    assert len(made) == 1


def test_a_redis_that_is_killed_while_a_call_leads_makes_it_a_miss(server, redis, cache):
    lead = leads(enter(cache))
    server.kill()
    began = time.monotonic()
    lead.keep(ANSWER)
    lead.leave()
    assert time.monotonic() - began < MOST_SECONDS
    server.start()
    eventually(lambda: is_back(redis))
    keep(cache)
    hits(enter(cache))


def test_those_who_wait_for_another_process_go_on_when_redis_is_killed(server, redis, cache):
    with shared_redis(server.url) as other:
        lead = leads(enter(cache))
        remote = a_cache(other)
        callers = [Caller(remote) for _ in range(3)]
        eventually(lambda: waiting(remote) == 2)
        killed_at = time.monotonic()
        server.kill()
        # One of the process goes on, and the others of it after that one, since it has no answer.
        assert all(caller.ended().has_led for caller in callers)
        assert time.monotonic() - killed_at < 2
        lead.leave()


def test_a_redis_that_has_forgotten_everything_is_asked_again(server, redis, cache):
    keep(cache)
    lead = leads(enter(cache, "j" * 64))
    redis.execute([("FLUSHALL",)])
    cache.renew()
    lead.keep(ANSWER)
    hits(enter(cache, "j" * 64))
    leads(enter(cache)).leave()


def test_a_full_redis_keeps_nothing_and_stops_nobody(redis, cache):
    keep(cache)
    redis.execute([("CONFIG", "SET", "maxmemory", "1")])
    assert not redis.set("more", b"x" * 100, px=1000)
    began = time.monotonic()
    lead = leads(enter(cache, "j" * 64))
    lead.keep(ANSWER)
    lead.leave()
    assert time.monotonic() - began < MOST_SECONDS
    assert redis.get(f"torana:cache:{'j' * 64}") is None
    hits(enter(cache))
    redis.execute([("CONFIG", "SET", "maxmemory", "0")])
    lead = leads(enter(cache, "j" * 64))
    lead.keep(ANSWER)
    hits(enter(cache, "j" * 64))


def test_a_redis_that_fills_up_while_a_call_leads_lets_the_next_one_lead(redis, cache):
    large = StoredAnswer(b"x" * 200_000, {}, streamed=False)
    lead = leads(enter(cache, terms=CacheTerms(seconds=300)))
    redis.execute([("CONFIG", "SET", "maxmemory", "1")])
    lead.keep(large)
    lead.leave()
    redis.execute([("CONFIG", "SET", "maxmemory", "0")])
    assert redis.get(f"torana:cache:{'k' * 64}:lease") is None
    keep(cache)


def test_a_redis_that_allows_no_scripts_only_makes_others_wait_for_the_lease(redis, cache):
    redis.execute([("ACL", "SETUSER", "default", "-eval")])
    leads(enter(cache)).leave()
    cache.renew()
    (left,) = redis.execute([("PTTL", f"torana:cache:{'k' * 64}:lease")]) or [0]
    assert 0 < left <= 5000
    lead = leads(enter(cache, seconds=0.2))
    lead.keep(ANSWER)
    hits(enter(cache))


class SlowRedis:
    """Answers late, but not so late that it is given up."""

    def __init__(self, redis: SharedRedis, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds

    def get(self, key: str) -> bytes | None:
        time.sleep(self._seconds)
        return self._redis.get(key)

    def execute(self, commands: Sequence[Command]) -> list[Any] | None:
        return self._redis.execute(commands)


def test_a_redis_that_is_slow_to_say_no_is_asked_for_no_lease(redis):
    slow = a_cache(SlowRedis(redis, 0.12))
    lead = leads(enter(slow))
    assert redis.get(f"torana:cache:{'k' * 64}:lease") is None
    waits = Caller(slow)
    eventually(lambda: waiting(slow) == 1)
    lead.keep(ANSWER)
    assert not waits.ended().has_led
    hits(enter(slow))
