"""Where the simulator's behaviour comes from."""

from __future__ import annotations

import pytest

from bench.sim.behaviour import Behaviour, from_sources


def test_the_environment_sets_what_flags_override():
    environment = {"SIM_CHUNKS": "7", "SIM_CHUNK_MS": "2.5", "SIM_JOURNAL": "1", "OTHER": "x"}
    behaviour = from_sources(environment, {"chunks": "9", "bill": "request"})
    assert behaviour == Behaviour(chunks=9, chunk_ms=2.5, journal=True, bill="request")


def test_empty_values_are_absent():
    assert from_sources({"SIM_CHUNKS": ""}, {}) == Behaviour()


def test_output_tokens_follow_the_chunks_unless_they_are_set():
    assert Behaviour(chunks=5).fixed_output_tokens == 15
    assert Behaviour(chunks=5, output_tokens=0).fixed_output_tokens == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"SIM_CHUNKS": "0"},
        {"SIM_CHUNKS": "many"},
        {"SIM_LATENCY_MS": "-1"},
        {"SIM_OUTPUT_TOKENS": "-1"},
        {"SIM_BILL": "twice"},
    ],
)
def test_values_that_do_not_fit_are_named(environment):
    with pytest.raises(ValueError, match="behaviour: "):
        from_sources(environment, {})
