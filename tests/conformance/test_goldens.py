"""The goldens are true: the real SDKs take them from the fake provider itself, without Torana."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pydantic
import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller, Got
from tests.conformance.callers.chat import ChatCaller
from tests.conformance.callers.messages import MessagesCaller
from tests.conformance.callers.responses import ResponsesCaller
from tests.conformance.pairs import UPSTREAMS, Upstream, reading
from tests.conformance.scenarios import Scenario
from tests.conformance.upstreams import chat
from tests.conformance.upstreams.golden import conversation
from tests.contract.fake_upstream import FakeUpstream

_CALLERS: dict[str, type[ChatCaller | MessagesCaller | ResponsesCaller]] = {
    "chat": ChatCaller,
    "messages": MessagesCaller,
    "responses": ResponsesCaller,
}


@pytest.fixture(params=list(UPSTREAMS.values()), ids=list(UPSTREAMS))
def golden(request: pytest.FixtureRequest) -> Upstream:
    """Each upstream's goldens."""
    found: Upstream = request.param
    return found


@pytest.fixture
def caller(golden: Upstream, upstream: FakeUpstream) -> Iterator[Caller]:
    """The SDK of the same dialect, which talks to the fake provider."""
    made = _CALLERS[golden.name](upstream.url.removesuffix("/v1"), "sk-none")
    yield made
    made.close()


def _ask(caller: Caller, mode: str, question: dict[str, object]) -> Got:
    found: Got = getattr(caller, mode)(question)
    return found


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda found: found.name)
def test_an_sdk_takes_a_golden_as_it_is(
    golden: Upstream, caller: Caller, upstream: FakeUpstream, scenario: Scenario
):
    answers = golden.module.GOLDENS[scenario.name]
    model = upstream.model(conversation(answers, golden.module.answers_in))
    question = caller.question(scenario.asked, model)
    for answer in answers:
        got = caller.create(question)
        assert caller.read(got.message) == reading(caller.name, golden.name, answer.said)
        gathered = caller.helper(question)
        assert caller.settled(gathered.message) == caller.settled(got.message)
        streamed = caller.raw(question)
        assert streamed.events == caller.sequence(
            answer.said, signed=bool(answer.seals), at_once=answer.at_once
        )
        results = [
            replace(result, call_id=golden.module.call_id(result.call_id))
            for result in scenario.results
        ]
        question = caller.follow_up(question, gathered.message, results)


@pytest.mark.parametrize("mode", ["create", "helper", "raw"])
def test_an_sdk_raises_the_golden_error(
    golden: Upstream, caller: Caller, upstream: FakeUpstream, mode: str
):
    model = upstream.model(golden.module.BROKEN.play)
    with pytest.raises(caller.failures):
        _ask(caller, mode, caller.question(scenarios.BROKEN.asked, model))


def test_an_answer_without_a_field_that_its_type_demands_is_found(upstream: FakeUpstream):
    """The SDKs themselves take it without a word."""
    whole = chat.GOLDENS["text"][0].answer({})
    del whole["usage"]["prompt_tokens"]
    model = upstream.model(lambda turn: turn.reply(whole))
    caller = ChatCaller(upstream.url.removesuffix("/v1"), "sk-none")
    question = caller.question(scenarios.TEXT.asked, model)
    assert caller.sdk.chat.completions.create(**question).choices
    with pytest.raises(pydantic.ValidationError):
        caller.create(question)
    caller.close()
