"""Idempotency-Keys, clamps and rates on the whole path of a call, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.inference.test_service import (
    CHOICE,
    COST,
    USAGE,
    Gateway,
    ModelServer,
    model,
)
from tests.integration.ledger.books import Books
from torana.admin import budgets
from torana.admin.scopes import ScopeRef
from torana.core.ids import new_id
from torana.db.models import Balance, IdempotentCall
from torana.errors import (
    IdempotencyConflict,
    IdempotencyInFlight,
    RateLimited,
    ToranaError,
    UpstreamRejected,
)
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.ledger.terms import BudgetTerms

__all__ = ["model"]
STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n"
    b"data: [DONE]\n\n"
)


@pytest.fixture
def gateway(shared_database, model: ModelServer) -> Iterator[Gateway]:
    model.says({"choices": [CHOICE], "usage": USAGE})
    model.bodies.clear()
    model.meanwhile = lambda: None
    with Books(shared_database) as books:
        made = Gateway(books, model)
        yield made
        made.http.close()
        assert made.service.open_calls == 0
        assert books.differences() == []


def posted(gateway: Gateway, **fields: Any) -> JsonAnswer:
    answer = gateway.chat(**fields)
    assert isinstance(answer, JsonAnswer)
    return answer


def test_a_repeated_request_gets_the_stored_answer_and_costs_nothing(gateway, model):
    first = posted(gateway, idempotency_key="k 1")
    model.says({"choices": []})
    again = posted(gateway, idempotency_key="k 1")
    assert again.body == first.body
    (entry,) = gateway.books.entries()
    assert again.headers == first.headers | {
        "x-torana-cost-usd": "0",
        "idempotent-replayed": "true",
        "x-torana-original-request-id": entry.call_id,
    }
    assert len(model.bodies) == 1
    assert gateway.books.figures() == (COST, 0, 0)


def test_a_repeated_stream_gets_all_frames_as_they_were(gateway, model):
    model.says(STREAM, content_type="text/event-stream")
    bodies = []
    for _ in range(2):
        answer = gateway.chat(stream=True, idempotency_key="s")
        assert isinstance(answer, StreamAnswer)
        bodies.append(list(answer.frames))
        answer.frames.close()
    first, again = bodies
    assert b"".join(first) == b"".join(again)
    assert [frame.count(b"\n\n") for frame in again] == [1] * len(again)
    assert len(again) > 1
    assert again[-1] == b"data: [DONE]\n\n"
    assert len(model.bodies) == 1
    assert gateway.books.total() == (1, COST)


def test_the_same_key_with_another_body_is_refused(gateway):
    posted(gateway, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        gateway.chat(idempotency_key="k", temperature=1)
    assert gateway.books.total() == (1, COST)


def test_the_same_key_of_another_caller_is_another(gateway, model):
    posted(gateway, idempotency_key="k")
    with Books(gateway.books.database) as books:
        other = Gateway(books, model)
        posted(other, idempotency_key="k")
        other.http.close()
        assert books.total() == (1, COST)


def test_while_a_call_is_under_way_its_key_is_taken(gateway, model):
    errors: list[ToranaError] = []

    def again() -> None:
        model.meanwhile = lambda: None
        try:
            gateway.chat(idempotency_key="k")
        except ToranaError as error:
            errors.append(error)

    model.meanwhile = again
    posted(gateway, idempotency_key="k")
    assert [type(error) for error in errors] == [IdempotencyInFlight]
    assert len(model.bodies) == 1


def test_after_an_error_the_key_is_free(gateway, model):
    model.says({"error": {"message": "no"}}, status=422)
    with pytest.raises(UpstreamRejected):
        gateway.chat(idempotency_key="k")
    model.says({"choices": [CHOICE], "usage": USAGE})
    posted(gateway, idempotency_key="k")
    assert gateway.books.total() == (2, COST)


def test_a_stored_answer_is_encrypted_and_ends_with_its_day(gateway, model):
    first = posted(gateway, idempotency_key="k")
    with gateway.books.database.write() as session:
        row = session.query(IdempotentCall).filter_by(call_id=gateway.books.entries()[0].call_id)
        stored = row.one()
        assert stored.answer is not None
        assert b"choices" not in stored.answer
        life = stored.expires_at - gateway.books.entries()[0].admitted_at
        assert life.total_seconds() == 24 * 3600
        session.execute(
            update(IdempotentCall)
            .where(IdempotentCall.id == stored.id)
            .values(expires_at=gateway.books.entries()[0].admitted_at)
        )
    again = posted(gateway, idempotency_key="k")
    assert again.body == first.body
    assert len(model.bodies) == 2
    assert gateway.books.total() == (2, 2 * COST)


def test_a_replay_needs_no_room_in_a_budget(gateway):
    posted(gateway, idempotency_key="k")
    gateway.books.limit(0)
    posted(gateway, idempotency_key="k")


# --- clamps and rates --------------------------------------------------------------------------


def test_a_clamped_call_tells_the_provider_and_its_caller(gateway, model):
    budgets.create_budget(
        gateway.books.database,
        ScopeRef(kind="key", id=gateway.books.key_id),
        BudgetTerms(amount_nano=150, period="month", mode="clamp"),
    )
    answer = posted(gateway, max_tokens=1000)
    # "[]" and what a provider puts before a prompt: 130 of input, 2 for each token of output.
    assert model.bodies[0]["max_tokens"] == (150 - 130) // 2
    assert answer.headers["x-torana-max-output-tokens"] == "10"
    fits = posted(gateway, max_tokens=1)
    assert model.bodies[1]["max_tokens"] == 1
    assert "x-torana-max-output-tokens" not in fits.headers


def test_rates_are_told_and_held(gateway):
    with gateway.books.database.write() as session:
        session.execute(
            update(Balance)
            .where(Balance.scope_id == gateway.books.key_id, Balance.budget_id == "")
            .values(terms={"rpm": 2, "tpm": 1000})
        )
    headers = posted(gateway).headers
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-limit-tokens"] == "1000"
    posted(gateway)
    with pytest.raises(RateLimited) as caught:
        posted(gateway)
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 30
    assert caught.value.rates is not None


def test_end_user_and_labels_are_on_the_ledger(gateway):
    alice = new_id("req")
    posted(gateway, user="old", safety_identifier=alice, metadata={"team": "red", "n": 3})
    (entry,) = gateway.books.entries()
    assert (entry.end_user, entry.tags) == (alice, {"team": "red"})
