"""What models can be asked for, by their names."""

from __future__ import annotations

import pytest

from torana.routing.traits import abilities_of


@pytest.mark.parametrize(
    ("model", "schemas", "adaptive"),
    [
        ("claude-2.1", False, False),
        ("claude-3-haiku-20240307", False, False),
        ("claude-3-5-sonnet-latest", False, False),
        ("claude-3-7-sonnet-20250219", False, False),
        ("claude-opus-4-20250514", False, False),
        ("claude-sonnet-4-0", False, False),
        ("claude-sonnet-4@20250514", False, False),
        ("claude-opus-4-1-20250805", True, False),
        ("claude-sonnet-4-5", True, False),
        ("claude-haiku-4-5-20251001", True, False),
        ("claude-opus-4-6", True, True),
        ("claude-sonnet-4-6", True, True),
        ("claude-opus-5", True, True),
        ("claude-sonnet-5-5", True, True),
        ("claude-of-tomorrow-9", True, True),
        ("gpt-4o", True, True),
        ("smollm2-135m", True, True),
    ],
)
def test_a_models_name_says_what_it_can_be_asked_for(model, schemas, adaptive):
    abilities = abilities_of(model)
    assert (abilities.schemas, abilities.adaptive_thinking) == (schemas, adaptive)


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("o4-mini", True),
        ("gpt-5.6-sol", True),
        ("openai/gpt-10", True),
        ("gpt-4.1", False),
        ("gpt-5-chat-latest", False),
        ("claude-opus-5", False),
        ("mine", False),
    ],
)
def test_openais_reasoning_models_are_known_by_name(model, reasons):
    assert abilities_of(model).reasons is reasons


@pytest.mark.parametrize("prefix", ["anthropic/", "ANTHROPIC/", "anthropic."])
def test_a_reseller_may_put_a_prefix_before_the_name(prefix):
    assert not abilities_of(f"{prefix}claude-3-opus-latest").schemas
