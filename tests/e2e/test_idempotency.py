"""Idempotency-Key: one key and one body are one call, whatever is repeated."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.fake_upstream import FakeUpstream, Gate, Turn, answer_well
from tests.e2e.checks import DONE, events, openai_error
from tests.e2e.constants import PROMPT
from tests.e2e.purses import Purse, purse
from tests.support.server import Reply, RunningServer

KEY = {"idempotency-key": "order-4711"}


@pytest.fixture
def mine(server: RunningServer) -> Purse:
    """A key of its own, so that no test meets the idempotency keys of another."""
    return purse(server)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_repetition_gets_the_stored_answer(mine: Purse, upstream: FakeUpstream, stream: bool):
    model = upstream.model()
    first, *others = [mine.chat(model, headers=KEY, stream=stream) for _ in range(4)]
    assert first.status == 200
    assert "idempotent-replayed" not in first.headers
    for other in others:
        assert (other.status, other.body) == (200, first.body)
        assert other.headers["content-type"] == first.headers["content-type"]
        assert other.headers["idempotent-replayed"] == "true"
        assert other.headers["x-torana-original-request-id"] == first.request_id
        assert other.request_id != first.request_id
    if stream:
        assert events(first.body)[-1] == DONE
    assert len(upstream.seen(model)) == 1
    rows = [row for row in mine.server.ledger(key=mine.key) if row["model"] == model]
    assert [row["request_id"] for row in rows] == [first.request_id]


def test_the_same_key_with_another_body_is_an_error(mine: Purse, upstream: FakeUpstream):
    model = upstream.model()
    assert mine.chat(model, headers=KEY).status == 200
    other = mine.chat(model, headers=KEY, max_tokens=41)
    assert (other.status, openai_error(other)["code"]) == (422, "idempotency_key_reused")
    assert other.headers["x-should-retry"] == "false"
    assert len(upstream.seen(model)) == 1


def test_while_the_first_is_under_way_others_are_told_to_wait(mine: Purse, upstream: FakeUpstream):
    gate, arrived = Gate(), threading.Event()

    def wait(turn: Turn) -> None:
        arrived.set()
        gate.wait()
        answer_well(turn)

    model = upstream.model(wait)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(mine.chat, model, headers=KEY)
        assert arrived.wait(10)
        second = mine.chat(model, headers=KEY)
        gate.open()
        assert first.result(20).status == 200
    assert (second.status, openai_error(second)["code"]) == (409, "idempotency_key_in_use")
    assert int(second.headers["retry-after"]) >= 1
    assert mine.chat(model, headers=KEY).headers["idempotent-replayed"] == "true"
    assert len(upstream.seen(model)) == 1


def test_many_at_once_are_one_call(mine: Purse, upstream: FakeUpstream):
    model = upstream.model()

    def once(_: int) -> Reply:
        return mine.chat(model, headers=KEY)

    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(once, range(12)))
    assert {reply.status for reply in replies} <= {200, 409}
    assert len(upstream.seen(model)) == 1


def test_after_an_error_the_key_is_free_again(mine: Purse, upstream: FakeUpstream):
    tries: list[int] = []

    def fail_once(turn: Turn) -> None:
        tries.append(1)
        if len(tries) == 1:
            turn.reply({"error": {"message": "no"}}, 500)
        else:
            answer_well(turn)

    model = upstream.model(fail_once)
    assert mine.chat(model, headers=KEY).status == 502
    assert mine.chat(model, headers=KEY).status == 200
    assert mine.chat(model, headers=KEY).headers["idempotent-replayed"] == "true"
    assert len(tries) == 2


def test_a_refused_call_leaves_the_key_free(server: RunningServer, upstream: FakeUpstream):
    mine = purse(server, "--budget-usd", "0.00000001", "--period", "month")
    model = upstream.model()
    for _ in range(2):
        reply = mine.chat(model, headers=KEY)
        assert (reply.status, openai_error(reply)["code"]) == (429, "insufficient_quota")


def test_callers_never_share_an_answer(server: RunningServer, upstream: FakeUpstream):
    model = upstream.model()
    replies = [purse(server).chat(model, headers=KEY) for _ in range(2)]
    assert all("idempotent-replayed" not in reply.headers for reply in replies)
    assert len(upstream.seen(model)) == 2


def test_stored_answers_are_encrypted(mine: Purse, upstream: FakeUpstream):
    secret = "canary-answer-1f7c"

    def tell(turn: Turn) -> None:
        turn.begin_stream()
        turn.words(secret)
        turn.end_stream()

    model = upstream.model(tell)
    assert secret.encode() in mine.chat(model, headers=KEY, stream=True).body
    folder: Any = mine.server.data_dir
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert PROMPT.encode() not in content, path


@pytest.mark.parametrize("key", ["", "x" * 256], ids=["empty", "too long"])
def test_a_key_that_is_none_is_refused(mine: Purse, upstream: FakeUpstream, key: str):
    model = upstream.model()
    reply = mine.chat(model, headers={"idempotency-key": key})
    assert (reply.status, openai_error(reply)["param"]) == (400, "idempotency-key")
    assert upstream.seen(model) == []
