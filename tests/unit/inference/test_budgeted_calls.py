"""Calls under budgets: counted when it is tight, clamped, tried again only with room, replayed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.inference.fakes import Scene, context, store
from tests.unit.inference.test_service import (
    ANSWER,
    CATALOG,
    COST,
    FakeProvider,
    Service,
    body,
)
from torana.core.rates import Rate, RateView
from torana.core.usage import Counted, Usage
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    LedgerUnavailable,
    RateLimited,
    UpstreamCut,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from torana.inference.idempotency import MOST_BYTES, StoredAnswer, claim_of
from torana.ledger.items import Replayed
from torana.ledger.records import Status
from torana.routing.catalog import ModelFacts, ModelList

COUNTED = ModelFacts(
    context_window=8000, max_output=100, hides_output=False, tokenizer="o200k_base"
)


def served(*tries: Any, facts: ModelFacts | None = None, **options: Any) -> Service:
    catalog = CATALOG
    if facts is not None:
        catalog = msgspec.structs.replace(
            CATALOG, lists={"fake": ModelList(facts={"small-7b": facts})}
        )
    return Service(FakeProvider(*tries), catalog=catalog, **options)


# --- counting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [BudgetExceeded, BudgetReserved])
def test_a_call_that_seems_too_dear_is_counted_and_asked_for_once_more(refusal):
    service = served(body(), facts=COUNTED)
    service.teller.refusals = [refusal("too dear")]
    service.chat(messages=[{"role": "user", "content": "hello " * 500}])
    cheap, exact = (ask.bound for ask in service.teller.asked)
    assert exact.nano() < cheap.nano() / 2
    assert exact.output == cheap.output
    assert len(service.teller.admitted) == 1


def test_a_call_that_is_still_too_dear_is_refused():
    service = served(facts=COUNTED)
    service.teller.refusals = [BudgetExceeded("too dear")] * 2
    service.fails(BudgetExceeded, messages=[{"role": "user", "content": "hello " * 500}])
    assert len(service.teller.asked) == 2
    assert service.teller.posts == []


def test_what_nobody_can_count_is_refused_at_once():
    service = served()
    service.teller.refusals = [BudgetExceeded("too dear")]
    service.fails(BudgetExceeded)
    assert len(service.teller.asked) == 1


def test_other_refusals_are_not_worth_a_count():
    service = served(facts=COUNTED)
    service.teller.refusals = [RateLimited("slow", retry_after=1)]
    service.fails(RateLimited)
    assert len(service.teller.asked) == 1


# --- clamps ------------------------------------------------------------------------------------


def test_what_a_budget_leaves_is_sent_to_the_provider_and_told_to_the_caller():
    service = served(body())
    service.teller.output = 5
    service.teller.rates = RateView(requests=Rate(60, 59, 1.0))
    answer = service.chat(max_tokens=50)
    assert service.provider.bodies[0]["max_tokens"] == 5
    assert answer.headers["x-torana-max-output-tokens"] == "5"
    assert answer.headers["x-ratelimit-remaining-requests"] == "59"


def test_a_call_that_was_not_clamped_is_sent_as_it_came():
    service = served(body())
    answer = service.chat(max_tokens=50)
    assert service.provider.bodies[0]["max_tokens"] == 50
    assert "x-torana-max-output-tokens" not in answer.headers


# --- tries that may have cost something --------------------------------------------------------


def uncertain(*tries: Any) -> Service:
    return served(*tries, retry_uncertain=True)


def test_by_default_what_may_have_been_processed_is_not_sent_twice():
    service = served(UpstreamTimeout("slow"), body())
    service.fails(UpstreamTimeout)
    assert service.teller.extended == []
    assert service.teller.settlement.cost_nano == service.teller.bound_nano


def test_a_second_try_is_reserved_before_it_is_made_and_both_are_charged():
    service = uncertain(UpstreamTimeout("slow"), body())
    service.chat()
    bound = service.teller.bound_nano
    assert service.teller.extended == [2 * bound]
    settlement = service.teller.settlement
    assert (settlement.status, settlement.cost_nano) == (Status.OK, bound + COST)
    assert settlement.counted is Counted.BOUND
    assert [attempt["cost_nano"] for attempt in settlement.attempts] == [bound, COST]
    receipt, _ = service.teller.posts[0]
    assert receipt.bound_nano == 2 * bound


@pytest.mark.parametrize("error", [BudgetExceeded("no room"), LedgerUnavailable("away")])
def test_without_room_for_a_second_try_the_first_ones_error_is_the_callers(error):
    service = uncertain(UpstreamTimeout("slow"), body())
    service.teller.extend_error = error
    service.fails(UpstreamTimeout)
    assert len(service.provider.bodies) == 1
    assert service.teller.settlement.cost_nano == service.teller.bound_nano


def test_tries_that_all_may_have_cost_are_all_charged():
    service = uncertain(*[UpstreamTimeout("slow")] * 3)
    service.fails(UpstreamTimeout)
    bound = service.teller.bound_nano
    assert service.teller.extended == [2 * bound, 3 * bound]
    assert service.teller.settlement.cost_nano == 3 * bound
    assert [attempt["cost_nano"] for attempt in service.teller.settlement.attempts] == [bound] * 3


def test_a_try_that_cost_nothing_reserves_nothing_more():
    service = uncertain(UpstreamOverloaded("busy", retry_after=0), body())
    service.chat()
    assert service.teller.extended == []
    assert service.teller.settlement.cost_nano == COST


# --- answers that were cut ---------------------------------------------------------------------


def test_a_cut_answer_is_counted_by_its_visible_text_where_that_can_be():
    seen: list[str] = []

    def estimate(text: str) -> Usage | None:
        seen.append(text)
        return Usage(input_tokens=4, output_tokens=2)

    scene = Scene(estimate=estimate)
    call = scene.open()
    assert call.fail(UpstreamCut("cut"), usage=None, billable=True, visible="Hello") == 4 + 6
    assert seen == ["Hello"]
    assert scene.teller.settlement.counted is Counted.TOKENIZER
    assert scene.teller.settlement.usage == Usage(input_tokens=4, output_tokens=2)


@pytest.mark.parametrize("visible", [None, ""])
def test_a_cut_answer_that_showed_nothing_costs_its_bound(visible):
    def never(_text: str) -> Usage | None:
        raise AssertionError("there is nothing to count")

    scene = Scene(estimate=never)
    bound = scene.open().fail(UpstreamCut("cut"), usage=None, billable=True, visible=visible)
    assert bound == scene.bound_nano
    assert scene.teller.settlement.counted is Counted.BOUND


# --- stored answers ----------------------------------------------------------------------------


def test_a_claim_is_of_the_key_the_route_and_the_body():
    claim = claim_of("key_1", "k", "chat", b"{}")
    assert claim == claim_of("key_1", "k", "chat", b"{}")
    assert claim.id != claim_of("key_2", "k", "chat", b"{}").id
    assert claim.id != claim_of("key_1", "l", "chat", b"{}").id
    other = claim_of("key_1", "k", "chat", b"{ }")
    assert (other.id, other.fingerprint == claim.fingerprint) == (claim.id, False)
    other = claim_of("key_1", "k", "responses", b"{}")
    assert (other.id, other.fingerprint == claim.fingerprint) == (claim.id, False)
    assert {len(claim.id), len(claim.fingerprint)} == {64}


def test_an_answer_that_is_too_large_is_not_kept():
    fits = StoredAnswer(b"x" * MOST_BYTES, {}, streamed=False)
    assert store().seal(fits) is not None
    assert store().seal(StoredAnswer(fits.body + b"x", {}, streamed=False)) is None


def keyed(service: Service, **fields: Any) -> Any:
    request = {"model": "small", "messages": [], **fields}
    return service.inference.answer(
        OPENAI_CHAT, json.dumps(request).encode(), context(idempotency_key="k")
    )


def test_an_answer_is_sealed_with_the_post_of_its_call_only_when_there_is_a_key():
    service = served(body())
    keyed(service)
    sealed = service.teller.settlement.answer
    assert sealed is not None
    assert b"choices" not in sealed
    service = served(body())
    service.chat()
    assert service.teller.settlement.answer is None


def test_a_failed_call_keeps_no_answer():
    service = served(UpstreamTimeout("slow"))
    with pytest.raises(UpstreamTimeout):
        keyed(service)
    assert service.teller.settlement.answer is None


def test_a_replay_reaches_no_provider_and_posts_nothing(monkeypatch):
    stored = StoredAnswer(
        json.dumps(ANSWER).encode(), {"x-torana-provider": "fake"}, streamed=False
    )
    service = served()
    service.teller.replayed = Replayed("req_0")
    monkeypatch.setattr(service.inference._answers, "open", lambda _claim: stored)
    answer = keyed(service)
    assert answer.body == stored.body
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["x-torana-original-request-id"] == "req_0"
    assert service.provider.bodies == []
    assert service.teller.posts == []
