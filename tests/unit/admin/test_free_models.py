"""What costs nothing has a price that says so: without one no budget would let it pass."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torana.admin.price_list import in_force, model_list, read_list, shipped
from torana.core.money import PriceTerms, Rates

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "name",
    [
        "omni-moderation-latest",
        "omni-moderation-2024-09-26",
        "text-moderation-latest",
        "text-moderation-stable",
        "text-moderation-007",
    ],
)
def test_openais_moderations_are_free(name):
    known = model_list("openai").canonical(name)
    assert known is not None
    model = shipped().models("openai")[known]
    assert in_force(model, NOW) == [(None, PriceTerms(rates=Rates()))]


def test_a_list_that_knows_better_wins():
    brought = read_list(
        b'{"providers": {"openai": {"models": [{"id": "omni-moderation-latest", "prices": '
        b'[{"terms": {"rates": {"input_tokens": 5}}}]}]}}}'
    )
    ((_, terms),) = in_force(brought.models("openai")["omni-moderation-latest"], NOW)
    assert terms.rates.input_tokens == 5


def test_nobody_elses_are():
    assert "omni-moderation-latest" not in shipped().models("mistral")
