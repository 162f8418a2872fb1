"""SDKs of older lines, in an environment of their own: all their ways to call, on both providers."""

from __future__ import annotations

import itertools

import pytest

from tests.programs.scene import ANSWER, ASIDE, CALLS, PROMPT, Scene
from tests.programs.upstream import INPUT_TOKENS, OUTPUT_TOKENS, Step
from tests.support.environments import Kind, Scenario, require, run_older_sdks

KINDS: tuple[Kind, ...] = ("openai-chat", "openai-responses", "anthropic-messages")
SCENARIOS: tuple[Scenario, ...] = ("create", "stream", "helper", "tools")
FINISH = {
    "openai-chat": ("tool_calls", "stop"),
    "openai-responses": ("completed", "completed"),
    "anthropic-messages": ("tool_use", "end_turn"),
}
INPUT_NAMES = {"openai-chat": "prompt_tokens"}
OUTPUT_NAMES = {"openai-chat": "completion_tokens"}


@pytest.fixture(autouse=True)
def _installed() -> None:
    require("older-sdks")


def test_older_sdks_read_all_answers(scene: Scene):
    jobs = [
        {
            "kind": kind,
            "scenario": scenario,
            "base_url": scene.server.url,
            "key": scene.server.key,
            "model": scene.model(Step(text=ASIDE, calls=CALLS), Step(text=ANSWER)),
            "request": {"input": PROMPT}
            if kind == "openai-responses"
            else {"messages": [{"role": "user", "content": PROMPT}]},
        }
        for kind, scenario in itertools.product(KINDS, SCENARIOS)
    ]
    for job, outcome in zip(jobs, run_older_sdks(jobs), strict=True):
        kind, loops = str(job["kind"]), job["scenario"] == "tools"
        what = f"{outcome['sdk']}: {kind}, {job['scenario']}"
        assert outcome["error"] is None, (what, outcome["error"])
        assert outcome["text"] == (ANSWER if loops else ASIDE), what
        assert outcome["tool_calls"] == [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in CALLS
        ], what
        assert outcome["finish"] == FINISH[kind][loops], what
        assert outcome["usage"][INPUT_NAMES.get(kind, "input_tokens")] == INPUT_TOKENS, what
        assert outcome["usage"][OUTPUT_NAMES.get(kind, "output_tokens")] == OUTPUT_TOKENS, what
        assert outcome["turns"] == (2 if loops else 1), what
        if loops:
            told = scene.assert_tool_loop(str(job["model"]))
            assert [said.text for said in told.of("assistant")] == [ASIDE], what
        else:
            scene.assert_answered(str(job["model"]))
