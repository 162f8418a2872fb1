"""The cache on the whole path of a call: its header, its rows, its limits; on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.inference.cache_races import waiting
from tests.integration.inference.cache_scene import (
    RedisServer,
    a_cache,
    eventually,
    redis_server,
    shared_redis,
)
from tests.integration.inference.test_service import (
    CHOICE,
    COST,
    USAGE,
    Gateway,
    ModelServer,
    model,
)
from tests.integration.ledger.books import Books
from torana.db.models import Balance
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import BudgetExceeded, RateLimited, UpstreamRejected
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.inference.cache_terms import CacheWish

__all__ = ["model"]
ON = CacheWish(on=True)
DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
END = b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\ndata: [DONE]\n\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def gateway(shared_database, model: ModelServer, server: RedisServer) -> Iterator[Gateway]:
    model.says({"choices": [CHOICE], "usage": USAGE})
    model.bodies.clear()
    model.meanwhile = lambda: None
    with Books(shared_database) as books, shared_redis(server.url) as redis:
        redis.execute([("FLUSHALL",)])
        made = Gateway(books, model)
        made.service._cache = a_cache(redis)
        yield made
        made.http.close()
        assert made.service.open_calls == 0
        assert books.differences() == []


def answer(
    gateway: Gateway, *, wish: CacheWish | None = ON, **fields: Any
) -> JsonAnswer | StreamAnswer:
    body = {"model": "fake/m", "messages": [], "max_tokens": 10, **fields}
    context = gateway.context(cache=wish)
    return gateway.service.answer(OPENAI_CHAT, json.dumps(body).encode(), context)


def posted(gateway: Gateway, **fields: Any) -> JsonAnswer:
    found = answer(gateway, **fields)
    assert isinstance(found, JsonAnswer)
    return found


def read(gateway: Gateway, **fields: Any) -> tuple[list[bytes], str]:
    """The frames of a stream, and what became of the cache."""
    found = answer(gateway, stream=True, **fields)
    assert isinstance(found, StreamAnswer)
    frames = list(found.frames)
    found.frames.close()
    return frames, found.headers["x-torana-cache"]


def test_a_hit_is_the_same_answer_for_nothing(gateway, model):
    first, again = posted(gateway), posted(gateway)
    assert again.body == first.body
    assert first.headers["x-torana-cache"] == "miss"
    assert again.headers == first.headers | {"x-torana-cache": "hit", "x-torana-cost-usd": "0"}
    assert len(model.bodies) == 1
    rows = sorted(
        (entry.status, entry.cost_nano, entry.provider) for entry in gateway.books.entries()
    )
    assert rows == [("cached", 0, "fake"), ("ok", COST, "fake")]
    assert gateway.books.figures() == (COST, 0, 0)


def test_a_stream_comes_again_frame_by_frame(gateway, model):
    model.says(DELTA + END, content_type="text/event-stream")
    first, miss = read(gateway)
    again, hit = read(gateway)
    assert (miss, hit) == ("miss", "hit")
    assert b"".join(again) == b"".join(first)
    assert all(frame.count(b"\n\n") == 1 for frame in again)
    assert len(model.bodies) == 1
    assert sorted((entry.status, entry.streamed) for entry in gateway.books.entries()) == [
        ("cached", True),
        ("ok", True),
    ]


def test_without_a_wish_the_cache_is_passed_by(gateway, model):
    posted(gateway)
    for wish in (None, CacheWish(on=False)):
        assert posted(gateway, wish=wish).headers["x-torana-cache"] == "bypass"
    assert len(model.bodies) == 3


def test_another_request_is_made(gateway, model):
    posted(gateway)
    assert posted(gateway, temperature=1).headers["x-torana-cache"] == "miss"
    assert len(model.bodies) == 2


def test_an_error_is_not_kept(gateway, model):
    model.says({"error": {"message": "no"}}, status=422)
    for _ in range(2):
        with pytest.raises(UpstreamRejected):
            posted(gateway)
    model.says({"choices": [CHOICE], "usage": USAGE})
    assert posted(gateway).headers["x-torana-cache"] == "miss"
    assert len(model.bodies) == 3


def test_a_stream_that_broke_is_not_kept(gateway, model):
    model.says(DELTA.replace(b'"stop"', b"null"), content_type="text/event-stream")
    frames, _ = read(gateway)
    assert b"error" in frames[-1]
    model.says(DELTA + END, content_type="text/event-stream")
    assert read(gateway)[1] == "miss"
    assert read(gateway)[1] == "hit"


def test_a_stream_whose_caller_hung_up_is_kept_when_it_was_read_to_its_end(gateway, model):
    model.says(DELTA + END, content_type="text/event-stream")
    left = answer(gateway, stream=True)
    assert isinstance(left, StreamAnswer)
    left.frames.close()
    assert read(gateway)[1] == "hit"
    assert len(model.bodies) == 1


def test_a_hit_needs_no_room_in_a_budget(gateway):
    posted(gateway)
    gateway.books.limit(COST)
    with pytest.raises(BudgetExceeded):
        posted(gateway, wish=None)
    assert posted(gateway).headers["x-torana-cache"] == "hit"


def test_a_hit_counts_on_the_limits_of_requests(gateway):
    with gateway.books.database.write() as session:
        session.execute(
            update(Balance)
            .where(Balance.scope_id == gateway.books.key_id, Balance.budget_id == "")
            .values(terms={"rpm": 2})
        )
    posted(gateway)
    assert posted(gateway).headers["x-torana-cache"] == "hit"
    with pytest.raises(RateLimited):
        posted(gateway)


@pytest.mark.parametrize("stream", [False, True])
def test_of_identical_calls_at_once_one_is_made(gateway, model, stream: bool):
    if stream:
        model.says(DELTA + END, content_type="text/event-stream")
    model.meanwhile = lambda: eventually(lambda: waiting(gateway.service._cache) == 7)
    seen: list[str] = []

    def call() -> None:
        if stream:
            seen.append(read(gateway)[1])
        else:
            seen.append(posted(gateway).headers["x-torana-cache"])

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == ["hit"] * 7 + ["miss"]
    assert len(model.bodies) == 1
    assert gateway.books.total() == (8, COST)


def test_when_the_provider_fails_those_who_wait_ask_it_one_by_one(gateway, model):
    open_now, most = 0, 0
    lock = threading.Lock()

    def meanwhile() -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        if len(model.bodies) == 1:
            eventually(lambda: waiting(gateway.service._cache) == 3)
        with lock:
            open_now -= 1

    model.meanwhile = meanwhile
    model.says({"error": {"message": "no"}}, status=422)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            posted(gateway)
        except UpstreamRejected as error:
            errors.append(error)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(errors), most) == (4, 1)
