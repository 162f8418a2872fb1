"""The `llm` command line: its OpenAI-compatible models, and llm-anthropic, on both providers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.programs.scene import ANSWER, CHAT_PATH, PROMPT, SIGNATURE, SYSTEM, THINKING, Scene
from tests.programs.upstream import INPUT_TOKENS, OUTPUT_TOKENS, Step
from tests.support.environments import LLM, clean_environment, require, run
from tests.support.server import RunningServer

APIS = ("openai-chat", "openai-responses", "anthropic")
OTHER_API = {"openai": "anthropic", "anthropic": "openai-chat"}
"""By provider, one that it does not speak."""
ANTHROPIC = "llm-anthropic"
FUNCTIONS = """
def weather(city: str) -> str:
    "The weather in a city."
    return f"{city}: 21 degrees"
"""
USAGE = f"{INPUT_TOKENS} input, {OUTPUT_TOKENS} output"


@pytest.fixture(autouse=True)
def _installed() -> None:
    require("programs")


def llm(
    scene: Scene,
    api: str,
    model: str,
    *arguments: str,
    key: str = "",
    fails: bool = False,
    do: str = "prompt",
) -> subprocess.CompletedProcess[str]:
    """Run `llm` with a model; the program's own folder says where the model is."""
    if api == "anthropic":
        # As `llm anthropic refresh` writes it: models that the plugin does not know by itself.
        (scene.folder / "anthropic_models.json").write_text(json.dumps({"data": [{"id": model}]}))
        named, plugins = f"anthropic/{model}", ANTHROPIC
    else:
        entry = {
            "model_id": "asked",
            "model_name": model,
            "api_base": f"{scene.server.url}/v1",
            "api_key_name": "torana",
            "supports_tools": True,
            "supports_schema": True,
            "responses": api == "openai-responses",
            "reasoning": api == "openai-responses",
        }
        # JSON is YAML.
        (scene.folder / "extra-openai-models.yaml").write_text(json.dumps([entry]))
        named, plugins = "asked", ""  # Its support of OpenAI's API is built in.
    told = [*do.split(), "-m", named, "--key", key or scene.server.key, *arguments]
    return command(scene, *told, plugins=plugins, fails=fails)


def command(
    scene: Scene, *arguments: str, plugins: str, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `llm` as it is told, with these plugins; each import of an SDK takes a second."""
    more = {
        "LLM_USER_PATH": str(scene.folder),
        "LLM_LOAD_PLUGINS": plugins,
        "ANTHROPIC_BASE_URL": scene.server.url,
    }
    environment = clean_environment(scene.folder, more)
    return run([LLM, *arguments], environment, scene.folder, fails=fails)


@pytest.mark.parametrize("api", APIS)
def test_tools_are_called_until_there_is_an_answer(scene: Scene, api: str):
    model = scene.tool_loop(thinking=THINKING)
    arguments = ("--functions", FUNCTIONS, "-s", SYSTEM, "--usage", "--no-log")
    effort = ("-o", "reasoning_effort", "low") if api == "openai-responses" else ()
    result = llm(scene, api, model, PROMPT, *arguments, *effort)
    assert result.stdout.strip() == ANSWER
    assert USAGE in result.stderr
    told = scene.assert_tool_loop(model)
    assert [said.text for said in told.of("system")] == [SYSTEM]
    if api != "openai-chat" and scene.heard(model)[0].path != CHAT_PATH:
        # Elsewhere a thought has no signature, or the program does not bring it back.
        assert [said.text for said in told.of("thinking")] == [SIGNATURE]
        assert THINKING in result.stderr


@pytest.mark.parametrize("api", ["openai-chat", "openai-responses"])
def test_an_answer_in_one_piece_is_printed(scene: Scene, api: str):
    model = scene.model(Step(text=ANSWER))
    result = llm(scene, api, model, PROMPT, "--no-stream", "--usage", "--no-log")
    assert result.stdout.strip() == ANSWER
    assert USAGE in result.stderr
    scene.assert_answered(model)


def test_a_conversation_goes_on(scene: Scene):
    api = OTHER_API[scene.provider]
    model = scene.model(Step(text="First."), Step(text="Second."))
    llm(scene, api, model, "One?")
    result = llm(scene, api, model, "Two?", "--continue")
    assert result.stdout.strip() == "Second."
    _, told = scene.heard(model)
    assert [(said.who, said.text) for said in told.history] == [
        ("user", "One?"),
        ("assistant", "First."),
        ("user", "Two?"),
    ]


def test_an_answer_keeps_to_a_schema(scene: Scene):
    api = OTHER_API[scene.provider]
    wanted = {"city": "Łódź", "degrees": 21}
    model = scene.model(Step(text=json.dumps(wanted)))
    result = llm(scene, api, model, PROMPT, "--schema", "city, degrees int", "--no-log")
    assert json.loads(result.stdout) == wanted
    (seen,) = scene.upstream.seen(model.partition("/")[2])
    assert set(schema_of(seen.json())["properties"]) == {"city", "degrees"}


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    """The schema that a request asks an answer to keep to."""
    if "response_format" in body:
        schema = body["response_format"]["json_schema"]["schema"]
    elif "output_config" in body:
        schema = body["output_config"]["format"]["schema"]
    else:
        schema = body["text"]["format"]["schema"]
    return dict(schema)


def test_what_the_service_refuses_is_told(scene: Scene):
    api = OTHER_API[scene.provider]
    model = scene.model()
    result = llm(scene, api, model, PROMPT, "--no-log", key="sk-tor-nobody", fails=True)
    assert "API key" in result.stderr
    assert scene.heard(model) == []


def test_models_that_the_service_lists_can_be_asked(
    server: RunningServer, upstream: FakeUpstream, tmp_path: Path
):
    scene = Scene(server, upstream, "echo", tmp_path)
    key = ("--key", server.key)
    refreshed = command(scene, "anthropic", "refresh", *key, plugins=ANTHROPIC)
    assert "anthropic/echo" in refreshed.stdout or "Added models: echo" in refreshed.stdout
    answer = command(scene, "-m", "anthropic/echo", "one two", "--no-log", *key, plugins=ANTHROPIC)
    assert answer.stdout.strip() == "one two"


def test_tokens_are_counted_before_they_are_paid(scene: Scene):
    model = scene.model()
    counted = llm(scene, "anthropic", model, PROMPT, do="anthropic count")
    tokens = int(counted.stdout)
    if scene.provider == "anthropic":
        assert tokens == INPUT_TOKENS  # The provider's own count.
    else:
        assert 10 < tokens < 50
    assert [row for row in scene.server.ledger() if row["model"] == model] == []
