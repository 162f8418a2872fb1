"""What the answer cache keeps in a real Redis, for whom, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from tests.integration.inference.cache_scene import (
    ANSWER,
    TERMS,
    RedisServer,
    a_cache,
    enter,
    eventually,
    hits,
    key_of,
    leads,
    redis_server,
    shared_redis,
)
from torana.coordination import SharedRedis
from torana.inference.answers import StoredFrames
from torana.inference.cache import CLAMPED_HEADER, AnswerCache
from torana.inference.idempotency import StoredAnswer
from torana.routing.routes import CacheTerms


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def redis(server: RedisServer) -> Iterator[SharedRedis]:
    with shared_redis(server.url) as shared:
        shared.execute([("FLUSHALL",)])
        yield shared


@pytest.fixture
def cache(redis: SharedRedis) -> AnswerCache:
    return a_cache(redis)


def keep(cache: AnswerCache, key: str, terms: CacheTerms = TERMS) -> None:
    lead = leads(enter(cache, key, terms))
    lead.keep(ANSWER)
    lead.leave()


def names(redis: SharedRedis) -> list[str]:
    (found,) = redis.execute([("KEYS", "*")]) or [[]]
    return sorted(name.decode() for name in found)


def test_the_second_call_is_a_hit_in_every_process(cache, redis):
    key = key_of(cache)
    keep(cache, key)
    hits(enter(cache, key))
    hits(enter(a_cache(redis), key))


def test_nothing_but_one_sealed_answer_is_left_in_redis(cache, redis):
    key = key_of(cache)
    keep(cache, key)
    assert names(redis) == [f"torana:cache:{key}"]
    sealed = redis.get(f"torana:cache:{key}")
    assert sealed is not None
    assert b"answer" not in sealed
    assert b"fake" not in sealed


def test_redis_forgets_an_answer_when_its_time_is_over(cache, redis):
    key, terms = key_of(cache), CacheTerms(seconds=1)
    keep(cache, key, terms)
    (left,) = redis.execute([("PTTL", f"torana:cache:{key}")]) or [0]
    assert 0 < left <= 1000
    hits(enter(cache, key, terms))
    eventually(lambda: redis.get(f"torana:cache:{key}") is None, 3)
    leads(enter(cache, key, terms)).leave()


def test_a_caller_that_wants_younger_answers_makes_its_own(cache, redis):
    key = key_of(cache)
    keep(cache, key, CacheTerms(seconds=300))
    young = CacheTerms(seconds=1)
    eventually(lambda: redis.execute([("PTTL", f"torana:cache:{key}")]) < [298_900], 3)
    lead = leads(enter(cache, key, young))
    hits(enter(cache, key, CacheTerms(seconds=300)))
    lead.leave()


def test_an_error_leaves_nothing_behind(cache, redis):
    key = key_of(cache)
    leads(enter(cache, key)).leave()
    assert names(redis) == []
    leads(enter(cache, key)).leave()


def test_an_answer_that_is_too_large_is_not_kept(cache, redis):
    key = key_of(cache)
    fits = CacheTerms(seconds=300, max_bytes=len(ANSWER.body))
    small = CacheTerms(seconds=300, max_bytes=len(ANSWER.body) - 1)
    keep(cache, key, small)
    assert redis.get(f"torana:cache:{key}") is None
    keep(cache, key, fits)
    hits(enter(cache, key, fits))


def test_an_answer_that_a_budget_has_cut_short_is_not_kept(cache, redis):
    key = key_of(cache)
    lead = leads(enter(cache, key))
    lead.keep(msgspec.structs.replace(ANSWER, headers={CLAMPED_HEADER: "10"}))
    lead.leave()
    assert redis.get(f"torana:cache:{key}") is None


def test_a_large_answer_comes_back_whole(cache):
    key, terms = key_of(cache), CacheTerms(seconds=300, max_bytes=2_000_000)
    large = StoredAnswer(b"x" * 1_000_000, {}, streamed=True)
    lead = leads(enter(cache, key, terms))
    lead.keep(large)
    lead.leave()
    hits(enter(cache, key, terms), large)


def test_a_lead_counts_once(cache, redis):
    key = key_of(cache)
    lead = leads(enter(cache, key))
    lead.leave()
    following = leads(enter(cache, key))
    lead.leave()
    lead.keep(ANSWER)
    lead.refuse()
    assert redis.get(f"torana:cache:{key}") is None
    assert redis.get(f"torana:cache:{key}:lease") is not None
    following.keep(ANSWER)
    hits(enter(cache, key))


@pytest.mark.parametrize("altered", ["garbage", "a bit", "another key", "another kind"])
def test_what_somebody_has_written_there_is_a_miss(cache, redis, altered: str):
    key, other = key_of(cache), key_of(cache, revision="other")
    keep(cache, key)
    keep(cache, other)
    name = f"torana:cache:{key}"
    sealed = redis.get(name)
    assert sealed is not None
    values = {
        "garbage": b"\xff\x00",
        "a bit": sealed[:50] + bytes([sealed[50] ^ 1]) + sealed[51:],
        "another key": redis.get(f"torana:cache:{other}"),
        "another kind": cache._store._sealing._box.seal_bytes(b"\xc0"),
    }
    value = values[altered]
    assert value is not None
    assert redis.set(name, value, px=10_000)
    lead = leads(enter(cache, key))
    lead.keep(ANSWER)
    hits(enter(cache, key))


def test_another_installation_on_the_same_redis_finds_nothing(cache, redis):
    other = a_cache(redis, "o" * 32)
    assert key_of(cache) != key_of(other)
    keep(cache, key_of(cache))
    leads(enter(other, key_of(cache))).leave()


def test_projects_never_share_unless_the_route_says_so(cache):
    project, organisation, instance = (
        CacheTerms(seconds=300, scope=scope) for scope in ("project", "organisation", "instance")
    )
    assert key_of(cache, project) != key_of(cache, project, project_id="proj_2")
    shared = key_of(cache, organisation)
    assert shared == key_of(cache, organisation, project_id="proj_2")
    assert shared != key_of(cache, organisation, organisation_id="org_2")
    assert key_of(cache, instance) == key_of(cache, instance, organisation_id="org_2")
    assert len({key_of(cache, project), shared, key_of(cache, instance)}) == 3


def test_keys_of_one_project_share(cache):
    assert key_of(cache) == key_of(cache, key_id="key_2", user_id="user_2")


def test_a_route_that_was_changed_does_not_answer_from_before(cache):
    assert key_of(cache, revision="1") != key_of(cache, revision="2")


def test_a_stream_and_its_json_are_kept_apart(cache):
    fields = {"model": "m", "messages": []}
    bodies = [json.dumps(fields | {"stream": stream}).encode() for stream in (True, False)]
    assert key_of(cache, body=bodies[0]) != key_of(cache, body=bodies[1])


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"]),
        (b"event: a\r\ndata: 1\r\n\r\n", [b"event: a\r\ndata: 1\r\n\r\n"]),
        (b"data: 1\r\rdata: 2\r\r", [b"data: 1\r\r", b"data: 2\r\r"]),
        (b": ping\n\ndata: 1\n\nrest", [b": ping\n\n", b"data: 1\n\n", b"rest"]),
        (b"", []),
    ],
)
def test_a_stream_is_repeated_frame_by_frame(body: bytes, frames: list[bytes]):
    assert list(StoredFrames(body)) == frames


def test_without_redis_nothing_is_kept_and_nothing_fails():
    cache = a_cache(None)
    key = key_of(cache)
    keep(cache, key)
    lead = leads(enter(cache, key))
    cache.renew()
    lead.refuse()
    lead.leave()
