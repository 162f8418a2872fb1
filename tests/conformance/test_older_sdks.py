"""The lines of the SDKs before: the same answers, in a process and an environment of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller
from tests.conformance.pairs import UPSTREAMS, model_of, reading
from tests.conformance.said import Call, End, Said, Tokens
from tests.conformance.scenarios import Scenario
from tests.conformance.table import CALLERS, Table
from tests.conformance.upstreams.golden import Golden, conversation
from tests.contract.fake_upstream import FakeUpstream, Script
from tests.support.environments import Kind, run_older_sdks
from tests.support.server import RunningServer

KINDS: dict[str, Kind] = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic-messages",
}
MODES = ("create", "stream", "helper")
GOOD = (
    scenarios.TEXT,
    scenarios.TOOL,
    scenarios.PARALLEL,
    scenarios.THINKING,
    scenarios.IMAGE,
    scenarios.UNICODE,
)
LOOP = (
    Said(calls=(Call(id="1", name="weather", arguments={"city": "Paris"}),), end="tools"),
    Said(text="Paris: 21 degrees"),
)
"""What the older program's own tool is called with, and the answer after it."""

Json = dict[str, Any]


Key = tuple[str, str, str, str]
"""Caller, upstream, scenario, mode."""


class Jobs:
    """All calls, made in one process because its start takes a second."""

    def __init__(self, torana: RunningServer, upstream: FakeUpstream) -> None:
        self._torana, self._upstream = torana, upstream
        self._jobs: dict[Key, Json] = {}

    def add(self, key: Key, script: Script, request: Callable[[str], Json]) -> None:
        """One more; `request` makes its fields for a model."""
        caller, target, _scenario, mode = key
        _name, model = model_of(self._upstream, UPSTREAMS[target], script)
        self._jobs[key] = {
            "kind": KINDS[caller],
            "scenario": mode,
            "base_url": self._torana.url,
            "key": self._torana.key,
            "model": model,
            "request": request(model),
        }

    def run(self) -> dict[Key, Json]:
        """What came of them."""
        return dict(zip(self._jobs, run_older_sdks(self._jobs.values()), strict=True))


@pytest.fixture(scope="module")
def outcomes(
    torana: RunningServer, callers: dict[str, Caller], upstream: FakeUpstream
) -> dict[Key, Json]:
    """What came of all calls."""
    jobs = Jobs(torana, upstream)
    for caller, target in itertools.product(CALLERS, CALLERS):
        module = UPSTREAMS[target].module
        for scenario, mode in itertools.product((*GOOD, scenarios.BROKEN), MODES):
            broken = scenario is scenarios.BROKEN
            golden = module.BROKEN if broken else module.GOLDENS[scenario.name][0]
            ask = partial(callers[caller].question, scenario.asked)
            jobs.add((caller, target, scenario.name, mode), golden.play, ask)
        script = conversation(_loop(target), module.answers_in)
        jobs.add((caller, target, "loop", "tools"), script, lambda _model: {})
    return jobs.run()


def _loop(target: str) -> list[Golden]:
    return [UPSTREAMS[target].module.golden(said) for said in LOOP]


PAIRS = pytest.mark.parametrize(
    ("caller", "target"),
    [
        pytest.param(caller, target, id=f"{caller}-calls-{target}-answers")
        for caller, target in itertools.product(CALLERS, CALLERS)
    ],
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", GOOD, ids=lambda found: found.name)
@PAIRS
def test_an_answer_is_read_by_the_older_line_as_by_the_newest(
    outcomes: dict[Key, Json], caller: str, target: str, scenario: Scenario, mode: str
):
    outcome = outcomes[caller, target, scenario.name, mode]
    assert outcome["error"] is None
    said = reading(caller, target, UPSTREAMS[target].module.GOLDENS[scenario.name][0].said)
    # What that program does not tell: hidden thinking, and the classes of the usage.
    assert _read(caller, outcome) == replace(said, hidden=0, tokens=None)
    assert _totals(outcome["usage"], caller) == _expected_totals(said, caller)


@pytest.mark.parametrize("mode", MODES)
@PAIRS
def test_an_error_in_mid_stream_is_the_older_lines_own(
    outcomes: dict[Key, Json], caller: str, target: str, mode: str
):
    outcome = outcomes[caller, target, scenarios.BROKEN.name, mode]
    # The Responses stream gives its users the event itself.
    told = caller == "responses" and mode == "stream" and "error" in outcome["events"]
    assert told or outcome["error"] is not None


@PAIRS
def test_the_older_line_goes_through_a_tool_loop(
    outcomes: dict[Key, Json], table: Table, caller: str, target: str
):
    outcome = outcomes[caller, target, "loop", "tools"]
    assert outcome["error"] is None
    assert (outcome["turns"], outcome["text"]) == (2, LOOP[1].text)
    assert outcome["tool_calls"] == [
        {"id": call.id, "name": call.name, "arguments": call.arguments}
        for call in _loop(target)[0].said.calls
    ]
    table.older.add(outcome["sdk"])


_ENDS: dict[str, End] = {
    "stop": "stop",
    "end_turn": "stop",
    "tool_calls": "tools",
    "tool_use": "tools",
}


def _read(caller: str, outcome: Json) -> Said:
    calls = tuple(Call(**call) for call in outcome["tool_calls"])
    if caller == "responses":
        assert outcome["finish"] == "completed"
        end: End = "tools" if calls else "stop"
    else:
        end = _ENDS[outcome["finish"]]
    return Said(
        text=outcome["text"],
        thoughts=outcome["thinking"],
        calls=calls,
        end=end,
        tokens=None,
    )


def _totals(usage: Json, caller: str) -> tuple[int, int]:
    if caller == "chat":
        return usage["prompt_tokens"], usage["completion_tokens"]
    return usage["input_tokens"], usage["output_tokens"]


def _expected_totals(said: Said, caller: str) -> tuple[int, int]:
    tokens = said.tokens or Tokens()
    return (tokens.plain if caller == "messages" else tokens.prompt), tokens.answer
