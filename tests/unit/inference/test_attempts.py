"""The one loop of attempts: failing over, trying again, and when it gives up."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import SecretStr

from tests.unit.inference.fakes import (
    PRICE,
    RecordingMetrics,
    RecordingTeller,
    context,
    conversations,
    store,
)
from tests.unit.inference.serving import ScriptedLookAlike, completion, read
from torana.core.money import Price, PriceTerms, Rates
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import (
    BudgetExceeded,
    CostUnknown,
    NoTargetAvailable,
    ToranaError,
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamForbidden,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.inference.asking import CallPolicy
from torana.inference.cache import AnswerCache
from torana.inference.health import Health
from torana.inference.limits import Limits
from torana.inference.retry import RetryPolicy
from torana.inference.service import InferenceService
from torana.inference.stored_responses import StoredResponses
from torana.outbound.client import HttpClient, Timeouts
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry
from torana.routing.health import HealthPolicy
from torana.routing.routes import Route, RouteTarget

DEAR = Price(id="price_dear", terms=PriceTerms(rates=Rates(output_tokens=9_000_000)))
MAYBE_PROCESSED = [UpstreamTimeout, UpstreamCut, UpstreamGarbage]
SURELY_NOT = [UpstreamUnreachable, UpstreamOverloaded, UpstreamRateLimited]
FAILS = UpstreamError("500")


class Two:
    """A service with the alias `alias`: `first`, and `second` behind it."""

    def __init__(
        self,
        *,
        attempts: int = 3,
        uncertain: bool = False,
        route_attempts: int | None = None,
        patience: float = 0.5,
    ) -> None:
        self.first, self.second = ScriptedLookAlike("first"), ScriptedLookAlike("second")
        providers = {"first": self.first, "second": self.second}
        targets = tuple(
            RouteTarget(provider=name, model=f"{name}-model", priority=number)
            for number, name in enumerate(providers, 1)
        )
        catalog = Catalog(
            providers={name: ProviderEntry(name=name, kind="compatible") for name in providers},
            routes={"alias": Route(name="alias", targets=targets, attempts=route_attempts)},
            prices={("first", "*"): PRICE, ("second", "*"): DEAR},
        )
        self.teller = RecordingTeller()
        self.metrics = RecordingMetrics()
        self.health = Health(HealthPolicy(failures=3, cooldown_seconds=0.05))
        self.inference = InferenceService(
            upstreams=lambda: Upstreams(catalog, providers),
            teller=self.teller,
            http=HttpClient(),
            metrics=self.metrics,
            limits=Limits(
                timeouts=Timeouts(connect=1, first_byte=1, idle=1),
                retry=RetryPolicy(attempts=attempts, base=0.0, longest_retry_after=patience),
                total=600,
                drain=60,
            ),
            policy=CallPolicy(retry_uncertain=uncertain),
            answers=store(),
            responses=StoredResponses(conversations()),
            health=self.health,
            cache=AnswerCache(None, [SecretStr("s" * 32)]),
        )

    def call(self, model: str = "alias", **values: Any) -> JsonAnswer:
        answer = self._ask({"model": model}, **values)
        assert isinstance(answer, JsonAnswer)
        return answer

    def stream(self) -> StreamAnswer:
        answer = self._ask({"model": "alias", "stream": True})
        assert isinstance(answer, StreamAnswer)
        return answer

    def _ask(self, fields: dict[str, Any], **values: Any) -> JsonAnswer | StreamAnswer:
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50} | fields
        return self.inference.answer(OPENAI_CHAT, json.dumps(body).encode(), context(**values))

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Of the one call: who was asked, and what came of it."""
        attempts = self.teller.settlement.attempts
        return [(one["provider"], one["outcome"]) for one in attempts]


# --- fallback ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [*SURELY_NOT, *MAYBE_PROCESSED, UpstreamError, UpstreamAuth, UpstreamForbidden]
)
def test_what_one_provider_fails_at_another_is_asked_for_at_once(kind):
    two = Two()
    two.first.tries.append(kind("x"))
    two.second.says(completion())
    answer = two.call()
    assert read(answer)["choices"][0]["message"]["content"] == "Hello"
    assert two.outcomes == [("first", kind.code), ("second", "answered")]
    assert answer.headers["x-torana-provider"] == "second"
    assert answer.headers["x-torana-model"] == "second-model"
    assert two.second.body()["model"] == "second-model"
    assert two.metrics.retries == [("second", "fallback")]


@pytest.mark.parametrize("status", [402, 404, 413])
def test_a_refusal_that_another_target_may_not_have_is_no_end(status):
    two = Two()
    two.first.tries.append(UpstreamRejected("no", status=status))
    two.second.says(completion())
    assert two.call().headers["x-torana-provider"] == "second"


def test_a_prompt_that_is_too_long_for_one_may_fit_another():
    two = Two()
    two.first.tries.append(
        UpstreamRejected("too long", status=400, provider_code="context_length_exceeded")
    )
    two.second.says(completion())
    assert two.call().headers["x-torana-provider"] == "second"


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_request_that_is_at_fault_itself_goes_nowhere_else(status):
    two = Two()
    two.first.tries.append(UpstreamRejected("bad", status=status))
    with pytest.raises(UpstreamRejected):
        two.call()
    assert two.outcomes == [("first", "upstream_rejected")]
    assert two.second.sent == []


def test_a_good_first_target_is_the_only_one_that_is_asked():
    two = Two()
    two.first.says(completion())
    assert two.call().headers["x-torana-provider"] == "first"
    assert two.second.sent == []
    assert two.teller.extended == []


def test_the_last_error_is_the_callers_when_all_have_failed():
    two = Two(attempts=2)
    two.first.tries.append(FAILS)
    two.second.tries.append(UpstreamTimeout("slow"))
    with pytest.raises(UpstreamTimeout):
        two.call()
    assert two.outcomes == [("first", "upstream_error"), ("second", "upstream_timeout")]


def test_attempts_are_counted_over_all_targets():
    two = Two(attempts=1)
    two.first.tries.append(FAILS)
    with pytest.raises(UpstreamError):
        two.call()
    assert two.second.sent == []


def test_a_route_has_its_own_number_of_attempts():
    two = Two(attempts=5, route_attempts=1)
    two.first.tries.append(FAILS)
    with pytest.raises(UpstreamError):
        two.call()
    assert two.second.sent == []


# --- money -------------------------------------------------------------------------------------


def test_a_fallback_is_reserved_for_by_its_own_price_before_it_is_asked():
    two = Two()
    two.first.tries.append(FAILS)
    two.second.says(completion())
    two.call()
    (extended,) = two.teller.extended
    # 50 tokens that it may write, at the second target's price; the first attempt cost nothing.
    assert extended == 50 * 9
    settlement = two.teller.settlement
    assert (settlement.provider, settlement.price_id) == ("second", "price_dear")
    assert settlement.cost_nano == 5 * 9


@pytest.mark.parametrize("kind", MAYBE_PROCESSED)
def test_an_attempt_that_may_have_been_processed_is_charged_beside_the_one_that_answers(kind):
    two = Two()
    two.first.tries.append(kind("x"))
    two.second.says(completion())
    two.call()
    settlement = two.teller.settlement
    first, second = settlement.attempts
    bound = two.teller.asked[0].bound.nano()
    assert (first["cost_nano"], second["cost_nano"]) == (bound, 5 * 9)
    assert settlement.cost_nano == bound + 5 * 9
    assert two.teller.extended == [bound + 50 * 9]
    assert settlement.counted == "bound"


def test_without_room_for_the_fallback_the_first_error_is_the_callers():
    two = Two()
    two.teller.extend_error = BudgetExceeded("no room")
    two.first.tries.append(FAILS)
    with pytest.raises(UpstreamError) as caught:
        two.call()
    assert caught.value is FAILS
    assert two.second.sent == []
    assert two.teller.settlement.cost_nano == 0


def test_a_target_that_a_budget_can_not_judge_is_passed_over():
    two = Two()
    two.teller.refusals.append(CostUnknown("no price"))
    two.second.says(completion())
    assert two.call().headers["x-torana-provider"] == "second"
    assert two.first.sent == []


def test_a_call_that_no_target_has_a_known_cost_for_is_refused():
    two = Two()
    two.teller.refusals += [CostUnknown("first"), CostUnknown("second")]
    with pytest.raises(CostUnknown, match="first"):
        two.call()
    assert two.teller.posts == []


# --- the same target again ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", SURELY_NOT)
def test_what_was_surely_not_processed_is_sent_again(kind):
    two = Two()
    two.first.tries.append(kind("x"))
    two.first.says(completion())
    two.second.tries.append(FAILS)
    assert two.call().headers["x-torana-provider"] == "first"
    assert [name for name, _ in two.outcomes] == ["first", "second", "first"]


@pytest.mark.parametrize("kind", [*MAYBE_PROCESSED, UpstreamError, UpstreamAuth])
def test_what_may_have_been_processed_or_would_fail_again_is_not(kind):
    two = Two(attempts=5)
    two.first.tries.append(kind("x"))
    with pytest.raises(kind):
        two.call("first/m")
    assert len(two.first.sent) == 1


@pytest.mark.parametrize("kind", MAYBE_PROCESSED)
def test_an_administrator_may_have_it_sent_again(kind):
    two = Two(uncertain=True)
    two.first.tries.append(kind("x"))
    two.first.says(completion())
    two.call("first/m")
    assert len(two.first.sent) == 2


def test_a_wish_of_the_provider_counts():
    two = Two()
    error = UpstreamRejected("busy", status=409)
    error.retryable = True
    two.first.tries.append(error)
    two.first.says(completion())
    two.call("first/m")
    assert len(two.first.sent) == 2


def test_more_patience_than_is_allowed_is_not_had():
    two = Two()
    two.first.tries.append(UpstreamOverloaded("x", retry_after=0.6))
    with pytest.raises(UpstreamOverloaded) as caught:
        two.call("first/m")
    assert caught.value.retry_after == 0.6
    assert len(two.first.sent) == 1


def test_nothing_is_waited_for_that_the_caller_has_no_patience_for():
    two = Two()
    two.first.tries.append(UpstreamOverloaded("x", retry_after=0.4))
    with pytest.raises(UpstreamOverloaded):
        two.call("first/m", patience=0.2)
    assert len(two.first.sent) == 1


def test_repeats_end_with_the_targets_budget_for_them():
    two = Two(attempts=10)
    two.health = Health(HealthPolicy(failures=1000, least_outcomes=1000))
    two.inference._health = two.health
    calls = 30
    for _ in range(calls):
        two.first.tries += [UpstreamUnreachable("x")] * 10
        with pytest.raises(UpstreamUnreachable):
            two.call("first/m")
        two.first.tries.clear()
    repeats = len(two.first.sent) - calls
    assert repeats <= 10 + 0.2 * calls
    assert two.metrics.retries_refused


def test_another_key_is_tried_at_once_and_noted():
    two = Two()
    error = UpstreamRateLimited("x", retry_after=60)
    error.other_key = error.retryable = True
    two.first.tries.append(error)
    two.first.says(completion())
    assert two.call().headers["x-torana-provider"] == "first"
    assert two.second.sent == []
    assert two.metrics.retries == [("first", "other_key")]


# --- health ------------------------------------------------------------------------------------


def fail_often(two: Two, model: str = "first/first-model") -> None:
    for _ in range(3):
        two.first.tries.append(FAILS)
        with pytest.raises(UpstreamError):
            two.call(model)


def test_a_target_whose_breaker_is_open_is_not_asked():
    two = Two()
    fail_often(two)
    sent = len(two.first.sent)
    two.second.says(completion())
    assert two.call().headers["x-torana-provider"] == "second"
    assert len(two.first.sent) == sent


def test_a_call_is_told_at_once_when_to_come_back_if_nobody_takes_it():
    two = Two(patience=600.0)
    fail_often(two)
    with pytest.raises(NoTargetAvailable) as caught:
        two.call("first/first-model")
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 7
    receipt, settlement = two.teller.posts[-1]
    assert (settlement.error_code, settlement.cost_nano) == ("no_target_available", 0)
    assert settlement.attempts == []
    assert receipt.record.model == "first/first-model"


def test_a_short_cooling_is_waited_for():
    two = Two()
    error = UpstreamRateLimited("x")
    error.cooldown = 0.1
    two.first.tries.append(error)
    two.second.tries.append(FAILS)
    two.first.says(completion())
    began = time.monotonic()
    assert two.call().headers["x-torana-provider"] == "first"
    assert time.monotonic() - began >= 0.1


def test_a_target_that_asked_for_patience_is_not_asked_before_it_is_over():
    two = Two()
    error = UpstreamRateLimited("x", retry_after=30)
    error.cooldown = 30
    two.first.tries.append(error)
    for _ in range(2):
        two.second.says(completion())
        assert two.call().headers["x-torana-provider"] == "second"
    assert len(two.first.sent) == 1
    with pytest.raises(UpstreamRateLimited) as caught:
        two.call("first/first-model")
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30


def test_every_attempt_is_told_to_health_exactly_once():
    two = Two()
    two.first.tries += [UpstreamTimeout("x"), UpstreamCut("x")]
    two.second.says(completion())
    two.call()
    two.second.tries.append(UpstreamRejected("no", status=400))
    with pytest.raises(ToranaError):
        two.call()
    views = {view.provider: view for view in two.health.all()}
    assert [views[name].open_calls for name in ("first", "second")] == [0, 0]
    assert (views["first"].recent_failures, views["second"].recent_failures) == (2, 0)
    assert views["second"].recent_outcomes == 2
