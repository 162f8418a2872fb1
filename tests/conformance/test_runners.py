"""The SDKs' own tool runners go through a whole conversation, whoever answers.

They are stricter than their users: they check ids, statuses and the order of events, and send their
own objects back.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from anthropic.lib.tools import ToolError
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner

from tests.conformance import scenarios
from tests.conformance.callers.base import LIMIT, Caller
from tests.conformance.callers.messages import MessagesCaller
from tests.conformance.callers.responses import ResponsesCaller
from tests.conformance.pairs import UPSTREAMS, Upstream, model_of
from tests.conformance.said import Call, Result
from tests.conformance.scenarios import Scenario
from tests.conformance.upstreams.golden import Json, conversation
from tests.contract.fake_upstream import FakeUpstream, Turn

SCENARIOS = pytest.mark.parametrize(
    "scenario",
    [scenarios.TOOL, scenarios.PARALLEL, scenarios.THINKING],
    ids=lambda found: found.name,
)


MOST_TURNS = 4
"""A runner that never comes to its end must not hang the tests."""
NO_THREADS = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "thread is not supported for this request",
        "details": {"error_code": "thread_unsupported_request", "unsupported": ["thinking"]},
    },
}


class Conversation:
    """A scenario at an upstream, and the tools that bring its results.

    Anthropic's runner first asks for a conversation that the server keeps (`thread`); this
    upstream declines, as Anthropic does for what its threads do not support.
    """

    def __init__(self, scenario: Scenario, target: Upstream, upstream: FakeUpstream) -> None:
        self.goldens = target.module.GOLDENS[scenario.name]
        self._scenario, self._target, self._upstream = scenario, target, upstream
        script = conversation(self.goldens, target.module.answers_in)

        def play(turn: Turn) -> None:
            if "thread" in turn.request.json():
                turn.reply(NO_THREADS, 400)
            else:
                script(turn)

        self._name, self.model = model_of(upstream, target, play)
        self.calls: list[tuple[str, Json]] = []

    def run(self, name: str, arguments: Json) -> str:
        """Run a tool; the one that fails raises."""
        self.calls.append((name, dict(arguments)))
        for call, result in zip(self._made, self._scenario.results, strict=True):
            if (call.name, call.arguments) == (name, arguments):
                if result.failed:
                    raise ToolError(result.text)
                return result.text
        raise AssertionError((name, arguments))

    @property
    def _made(self) -> tuple[Call, ...]:
        calls: tuple[Call, ...] = self.goldens[0].said.calls
        return calls

    @property
    def answer(self) -> str:
        """What the last answer says."""
        return str(self.goldens[-1].said.text)

    def check(self) -> None:
        """The tools were called as the model wanted, and the upstream has heard of it."""
        assert sorted(map(str, self.calls)) == sorted(
            str((call.name, call.arguments)) for call in self._made
        )
        bodies = [seen.json() for seen in self._upstream.seen(self._name)]
        first, second = (body for body in bodies if "thread" not in body)
        module = self._target.module
        assert module.heard(first).tools == self._scenario.asked.tools
        heard = module.heard(second)
        assert heard.seals == self.goldens[0].seals
        calls = [value for kind, value in heard.turns if kind == "call"]
        assert [(each[0], each[1], json.loads(each[2])) for each in calls] == [
            (call.id, call.name, call.arguments) for call in self._made
        ]
        results = [value for kind, value in heard.turns if kind == "result"]
        assert [replace(result, failed=False) for result in results] == [
            Result(call_id=call.id, text=result.text)
            for call, result in zip(self._made, self._scenario.results, strict=True)
        ]


@pytest.mark.parametrize("way", ["json", "stream", "eager"])
@SCENARIOS
def test_anthropics_runner(
    callers: dict[str, Caller],
    target: Upstream,
    upstream: FakeUpstream,
    scenario: Scenario,
    way: str,
):
    caller = callers["messages"]
    assert isinstance(caller, MessagesCaller)
    talk = Conversation(scenario, target, upstream)

    def tool_of(offered: Any) -> Any:
        def run(**arguments: Any) -> str:
            return talk.run(offered.name, arguments)

        return anthropic.beta_tool(
            run,
            name=offered.name,
            description=offered.description,
            input_schema=offered.schema,
        )

    thinking: Any = {"type": "enabled", "budget_tokens": 2048}
    asked: dict[str, Any] = {
        "model": talk.model,
        "max_tokens": LIMIT,
        "messages": [{"role": "user", "content": scenario.asked.text}],
        "tools": [tool_of(offered) for offered in scenario.asked.tools],
        "thinking": thinking if scenario.asked.thinks else anthropic.omit,
        "max_iterations": MOST_TURNS,
    }
    if way == "json":
        message = caller.sdk.beta.messages.tool_runner(**asked).until_done()
    else:
        runner = caller.sdk.beta.messages.tool_runner(
            **asked, stream=True, run_tools_eagerly=way == "eager"
        )
        message = runner.until_done()
    assert "".join(block.text for block in message.content if block.type == "text") == talk.answer
    talk.check()


@pytest.mark.parametrize("way", ["json", "stream", "eager"])
@SCENARIOS
def test_openais_runner(
    callers: dict[str, Caller],
    target: Upstream,
    upstream: FakeUpstream,
    scenario: Scenario,
    way: str,
):
    caller = callers["responses"]
    assert isinstance(caller, ResponsesCaller)
    talk = Conversation(scenario, target, upstream)

    def function_of(offered: Any) -> RegisteredFunction:
        def run(arguments: dict[str, object]) -> str:
            try:
                return talk.run(offered.name, arguments)
            except ToolError as error:  # This runner would stop.
                return str(error)

        return RegisteredFunction(
            tool={
                "type": "function",
                "name": offered.name,
                "description": offered.description,
                "parameters": offered.schema,
                "strict": False,
            },
            execute=run,
        )

    runner = ResponsesToolRunner(functions=[function_of(each) for each in scenario.asked.tools])
    params: Any = {"model": talk.model, "input": scenario.asked.text}
    if scenario.asked.thinks:
        params["reasoning"] = {"effort": "medium", "summary": "auto"}
    response = runner.run(caller.sdk, params, stream=way != "json", eager=way == "eager")
    assert response.output_text == talk.answer
    talk.check()


def test_a_thread_that_anthropic_keeps_is_passed_through(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    """The runner sends only what is new, and names the answer that it goes on from."""
    caller = callers["messages"]
    assert isinstance(caller, MessagesCaller)
    target = UPSTREAMS["messages"]
    first, second = target.module.GOLDENS["tool"]

    def play(turn: Turn) -> None:
        thread = turn.request.json()["thread"]
        {"create": first, "continue": second}[thread["type"]].play(turn)

    name, model = model_of(upstream, target, play)

    def get_weather(city: str) -> str:
        return city

    runner = caller.sdk.beta.messages.tool_runner(
        model=model,
        max_tokens=LIMIT,
        messages=[{"role": "user", "content": scenarios.TOOL.asked.text}],
        tools=[anthropic.beta_tool(get_weather)],
        max_iterations=MOST_TURNS,
    )
    message = runner.until_done()
    assert message.content[0].type == "text"
    _begun, continued = upstream.seen(name)
    assert continued.json()["thread"] == {
        "type": "continue",
        "previous_message_id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    }
    assert [turn["role"] for turn in continued.json()["messages"]] == ["user"]
    assert "message-threads" in continued.headers["anthropic-beta"]
