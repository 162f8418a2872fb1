"""The Vercel AI SDK: a tool loop with each of its clients against each kind of provider."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.programs.scene import (
    ANSWER,
    ASIDE,
    CALLS,
    PROMPT,
    RESULTS,
    SIGNATURE,
    SYSTEM,
    THINKING,
    Scene,
)
from tests.programs.upstream import INPUT_TOKENS, OUTPUT_TOKENS, Call, Step
from tests.support.environments import NODE, NODE_MODULES, clean_environment, require, run

SCRIPT = Path(__file__).parent / "node" / "tool_loop.mjs"

THINK = {
    "openai": {"store": False, "include": ["reasoning.encrypted_content"]},
    "anthropic": {"thinking": {"type": "adaptive"}},
}
"""Options of a call whose thoughts the application itself brings back in the next turn."""


@pytest.fixture(autouse=True)
def _installed() -> None:
    require("programs")


def tool_loop(scene: Scene, api: str, model: str, *, stream: bool, **more: Any) -> dict[str, Any]:
    """Run the loop; its outcome."""
    shutil.copy(SCRIPT, scene.folder)
    modules = scene.folder / "node_modules"  # Where Node looks for what a script imports.
    if not modules.exists():
        modules.symlink_to(NODE_MODULES)
    job = {
        "api": api,
        "url": scene.server.url,
        "key": scene.server.key,
        "model": model,
        "stream": stream,
        "prompt": PROMPT,
        "system": SYSTEM,
        **more,
    }
    result = run(
        [NODE, SCRIPT.name],
        clean_environment(scene.folder),
        scene.folder,
        stdin=json.dumps(job),
    )
    outcome: dict[str, Any] = json.loads(result.stdout)
    return outcome


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "stream"])
@pytest.mark.parametrize("api", ["openai-chat", "openai-responses", "anthropic"])
def test_a_tool_loop_ends_with_the_answer(scene: Scene, api: str, stream: bool):
    model = scene.tool_loop()
    outcome = tool_loop(scene, api, model, stream=stream)
    assert (outcome["text"], outcome["finish"]) == (ANSWER, "stop")
    assert outcome["usage"]["inputTokens"] == 2 * INPUT_TOKENS
    assert outcome["usage"]["outputTokens"] == 2 * OUTPUT_TOKENS
    first, second = outcome["steps"]
    assert first["finish"] == "tool-calls"
    assert first["calls"] == [[call.id, call.name, call.arguments] for call in CALLS]
    assert first["results"] == [list(result) for result in RESULTS.items()]
    assert (second["text"], second["calls"]) == (ANSWER, [])
    told = scene.assert_tool_loop(model)
    assert [said.text for said in told.of("system")] == [SYSTEM]
    if stream:
        assert {"text-delta", "tool-input-delta", "tool-call", "finish"} <= set(outcome["parts"])
        assert "error" not in outcome["parts"]


def test_a_tool_without_arguments_is_called_with_an_empty_object(scene: Scene):
    call = Call("call_noon", "noon", {})
    model = scene.model(Step(text=ASIDE, calls=(call,)), Step(text=ANSWER))
    outcome = tool_loop(scene, "openai-chat", model, stream=True)
    assert outcome["steps"][0]["calls"] == [["call_noon", "noon", {}]]
    assert outcome["text"] == ANSWER
    _, told = scene.heard(model)
    assert [(said.id, said.arguments) for said in told.of("call")] == [("call_noon", {})]
    assert [json.loads(said.text) for said in told.of("result")] == [{"hours": 12, "minutes": 0}]
    assert [said.text for said in told.of("assistant")] == [ASIDE]


@pytest.mark.parametrize("stream", [False, True], ids=["generate", "stream"])
@pytest.mark.parametrize("api", ["openai-responses", "anthropic"])
def test_a_thought_comes_back_with_its_signature(scene: Scene, api: str, stream: bool):
    model = scene.tool_loop(thinking=THINKING)
    outcome = tool_loop(scene, api, model, stream=stream, options=THINK)
    assert outcome["text"] == ANSWER
    assert outcome["steps"][0]["reasoning"] == THINKING
    told = scene.assert_tool_loop(model)
    assert [said.text for said in told.of("thinking")] == [SIGNATURE]


@pytest.mark.parametrize("scene", ["openai", "anthropic"], indirect=True)
@pytest.mark.parametrize("stream", [False, True], ids=["generate", "stream"])
def test_items_that_the_service_keeps_are_found_by_their_ids(scene: Scene, stream: bool):
    steps = Step(text=ASIDE, thinking=THINKING, signature=SIGNATURE, calls=CALLS), Step(text=ANSWER)
    model = scene.model(*steps)
    outcome = tool_loop(scene, "openai-responses", model, stream=stream)
    assert [step["text"] for step in outcome["steps"]] == [ASIDE, ANSWER]
    told = scene.assert_tool_loop(model)
    if told.path == "/v1/responses":  # This provider keeps them itself.
        assert [said.id for said in told.of("reference")] == ["rs_program", "msg_program"]
        return
    assert [said.text for said in told.of("assistant")] == [ASIDE]
    assert [said.text for said in told.of("thinking")] == [SIGNATURE]


@pytest.mark.parametrize("api", ["openai-responses", "anthropic"])
def test_a_server_with_chat_alone_serves_the_other_clients(chat_alone: Scene, api: str):
    model = chat_alone.tool_loop(thinking=THINKING)
    outcome = tool_loop(chat_alone, api, model, stream=True, options=THINK)
    assert [step["text"] for step in outcome["steps"]] == ["", ANSWER]
    assert outcome["steps"][0]["reasoning"] == THINKING
    chat_alone.assert_tool_loop(model)
