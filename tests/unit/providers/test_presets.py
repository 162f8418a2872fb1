"""Presets as data: each is whole, fills in an address, and is told of in the documentation."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from torana.errors import InvalidRequest
from torana.providers import KINDS, ProviderOptions
from torana.providers.presets import PRESETS, Preset, fill

PAGE = Path(__file__).parents[3] / "docs" / "presets.md"
NAMES = {
    "azure",
    "azure-classic",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "llama-cpp",
    "lm-studio",
    "mistral",
    "ollama",
    "openrouter",
    "together",
    "vllm",
    "xai",
}


def given(preset: Preset) -> dict[str, str]:
    """Values for what a preset must be told."""
    return {name: "acme" for name, default in preset.variables.items() if default is None}


def test_the_look_alikes_that_people_use_are_there():
    assert set(PRESETS) == NAMES
    assert all(preset.name == name for name, preset in PRESETS.items())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_whole(preset: Preset):
    base_url, options = fill(preset, **given(preset))
    parts = urlsplit(base_url)
    assert preset.kind in KINDS
    assert parts.hostname is not None
    assert "{" not in base_url + "".join(value for _, value in options.query)
    # What is not encrypted stays on this machine.
    assert parts.scheme == "https" or parts.hostname == "127.0.0.1"
    assert preset.needs_key is (parts.scheme == "https")
    assert preset.title
    assert all(quirk.endswith(".") for quirk in preset.quirks)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_options_survive_the_database(preset: Preset):
    _, options = fill(preset, **given(preset))
    stored = msgspec.json.decode(msgspec.json.encode(options))
    assert msgspec.convert(stored, ProviderOptions) == options
    assert hash(options) == hash(msgspec.convert(stored, ProviderOptions))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_told_of(preset: Preset):
    page = PAGE.read_text()
    assert f"| `{preset.name}` | {preset.title} | `{preset.base_url}` |" in page
    for quirk in preset.quirks:
        assert quirk in page
    for name in (*preset.options.dropped, *preset.variables):
        assert f"`{name}`" in page


def test_a_placeholder_is_filled_in():
    base_url, options = fill(PRESETS["azure-classic"], resource="acme-eu", api_version="2025-01-01")
    assert base_url == "https://acme-eu.openai.azure.com"
    assert options.query == (("api-version", "2025-01-01"),)
    assert fill(PRESETS["azure-classic"], resource="x")[1].query == (("api-version", "2024-10-21"),)


def test_another_address_needs_no_placeholder():
    base_url, options = fill(PRESETS["azure"], "https://gateway.example/openai/v1")
    assert base_url == "https://gateway.example/openai/v1"
    assert options == PRESETS["azure"].options


@pytest.mark.parametrize(
    ("name", "variables", "param"),
    [
        ("azure", {}, "resource"),
        ("azure", {"resource": ""}, "resource"),
        ("azure", {"resource": "evil.example/x?"}, "resource"),
        ("azure", {"resource": "a@evil.example#"}, "resource"),
        ("azure", {"resource": "-"}, "resource"),
        ("azure-classic", {"resource": "a", "api_version": "1&x=2"}, "api_version"),
        ("mistral", {"resource": "a"}, "resource"),
    ],
)
def test_a_value_that_is_missing_or_no_part_of_an_address_is_refused(name, variables, param):
    with pytest.raises(InvalidRequest) as failure:
        fill(PRESETS[name], **variables)
    assert failure.value.param == param


@pytest.mark.parametrize(
    "wrong",
    [
        {"key_header": "Api Key"},
        {"key_header": "x:y"},
        {"path": "/no/place"},
        {"path": "{model}/{path}"},
        {"models_path": "models"},
        {"key_path": "key"},
        {"max_output_field": "limit"},
        {"dropped": ["max_tokens"]},
        {"dropped": ["n"]},
        {"dropped": ["reasoning_effort"]},
        {"dropped": ["a b"]},
        {"dropped": ["messages[]name"]},
        {"renamed": [["max_tokens", "limit"]]},
        {"renamed": [["seed", "n"]]},
        {"renamed": [["stop", "until"]]},
        {"query": {"a": "b"}},
    ],
)
def test_options_that_make_no_sense_or_a_call_dearer_are_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ProviderOptions)
