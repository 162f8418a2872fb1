"""Responses that are kept: a caller goes on from one by its id, whoever answers.

Neither of these upstreams keeps a conversation, so Torana does, and each gets the whole of it.
"""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller, Got
from tests.conformance.callers.responses import ResponsesCaller
from tests.conformance.pairs import UPSTREAMS, Upstream
from tests.conformance.said import Result
from tests.conformance.scenarios import Scenario
from tests.conformance.traps.asking import Scene, ask
from tests.conformance.upstreams.golden import conversation
from tests.contract.fake_upstream import FakeUpstream

MODES = ("create", "helper")


@pytest.fixture
def responses(callers: dict[str, Caller]) -> ResponsesCaller:
    """The one caller that can go on by an id."""
    caller = callers["responses"]
    assert isinstance(caller, ResponsesCaller)
    return caller


@pytest.fixture(params=["chat", "messages"], ids=lambda name: f"{name}-answers")
def target(request: pytest.FixtureRequest) -> Upstream:
    """Those whose dialect has no ids to go on from."""
    return UPSTREAMS[request.param]


def _first(
    caller: ResponsesCaller, scene: Scene, scenario: Scenario, mode: str
) -> tuple[dict[str, Any], Got]:
    question = {**scene.question(scenario.asked), "store": True}
    return question, ask(caller, mode, question)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "scenario", [scenarios.TOOL, scenarios.THINKING], ids=lambda found: found.name
)
def test_a_caller_goes_on_from_an_answer_by_its_id(
    responses: ResponsesCaller,
    target: Upstream,
    upstream: FakeUpstream,
    scenario: Scenario,
    mode: str,
):
    goldens = target.module.GOLDENS[scenario.name]
    script = conversation(goldens, target.module.answers_in)
    scene = Scene(responses, upstream, target.name, script)
    question, begun = _first(responses, scene, scenario, mode)
    (call,) = goldens[0].said.calls
    result = {"type": "function_call_output", "call_id": call.id, "output": "18 °C"}
    got = ask(
        responses,
        mode,
        {**question, "input": [result], "previous_response_id": begun.message.id},
    )
    assert got.message.previous_response_id == begun.message.id
    assert responses.read(got.message).text == goldens[1].said.text
    heard = target.module.heard(scene.bodies[-1])
    assert heard.seals == goldens[0].seals
    assert heard.system == scenario.asked.system
    assert heard.turns[0] == ("text", scenario.asked.text)
    kinds = [kind for kind, _value in heard.turns]
    assert kinds == ["text", *(["said"] if goldens[0].said.text else []), "call", "result"]
    assert heard.turns[-1][1] == Result(call_id=call.id, text="18 °C")


@pytest.mark.parametrize("mode", MODES)
def test_a_kept_answer_can_be_read_again_and_deleted(
    responses: ResponsesCaller, target: Upstream, upstream: FakeUpstream, mode: str
):
    golden = target.module.GOLDENS["text"][0]
    scene = Scene(responses, upstream, target.name, golden)
    question, begun = _first(responses, scene, scenarios.TEXT, mode)
    kept = responses.sdk.responses.retrieve(begun.message.id)
    assert responses.read(kept) == responses.read(begun.message) == golden.said
    responses.sdk.responses.delete(begun.message.id)
    with pytest.raises(openai.NotFoundError):
        responses.sdk.responses.retrieve(begun.message.id)
    with pytest.raises(openai.APIStatusError) as raised:
        ask(responses, mode, {**question, "previous_response_id": begun.message.id})
    assert raised.value.status_code in {400, 404}
    assert scene.calls == 1


@pytest.mark.parametrize("mode", MODES)
def test_what_shall_not_be_kept_is_not(
    responses: ResponsesCaller, target: Upstream, upstream: FakeUpstream, mode: str
):
    scene = Scene(responses, upstream, target.name, target.module.GOLDENS["text"][0])
    got = ask(responses, mode, {**scene.question(scenarios.TEXT.asked), "store": False})
    with pytest.raises(openai.NotFoundError):
        responses.sdk.responses.retrieve(got.message.id)
