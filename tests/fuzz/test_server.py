"""A running Torana with mutated requests, and providers that answer well or wildly.

No 500, no hang, no call that stays open: `conftest.py` looks at the books, the log and the memory
when all is done.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from tests.fuzz.caller import PATHS, judge
from tests.fuzz.conftest import Fuzzed
from tests.fuzz.length import choose
from tests.fuzz.mutations import bodies
from tests.fuzz.seeds import SEEDS
from tests.fuzz.upstream import INSANE, SANE, json_of

WAYS = (
    ("chat", "openai"),
    ("chat", "anthropic"),
    ("messages", "anthropic"),
    ("messages", "openai"),
    ("messages", "look"),
    ("responses", "openai"),
    ("responses", "anthropic"),
    ("responses", "look"),
    ("completions", "openai"),
    ("completions", "anthropic"),
    ("embeddings", "openai"),
)
"""Routes, and the providers that the model's name leads to."""
HEADERS: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.just({"x_torana_strict": "true"}),
    # Mostly new, now and then one that another body has used.
    st.integers(0, 2_000).map(lambda number: {"idempotency_key": f"key-{number}"}),
)
_PATIENT = settings(
    deadline=None,
    derandomize=choose(short=True, long=False),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
fuzz_calls = settings(_PATIENT, max_examples=choose(12, 1_800))
described_calls = settings(_PATIENT, max_examples=choose(6, 800))


def seeds(route: str, model: str) -> list[dict[str, Any]]:
    """The seeds of a route for a model, JSON and stream."""
    found = [{**seed, "model": model} for seed in SEEDS[route]]
    if route != "embeddings":
        found += [{**seed, "stream": True} for seed in found if not seed.get("stream")]
    return found


@pytest.mark.parametrize(("route", "provider"), WAYS)
@pytest.mark.parametrize("nature", [SANE, INSANE])
@pytest.mark.usefixtures("steady_memory")
@fuzz_calls
@given(data=st.data())
def test_a_mutated_call_has_a_clear_end(
    fuzzed: Fuzzed, route: str, provider: str, nature: str, data: st.DataObject
):
    body = data.draw(bodies(seeds(route, f"{provider}/{nature}")))
    caller = data.draw(st.sampled_from([fuzzed.free, fuzzed.budgeted]))
    chunked = data.draw(st.booleans())
    headers = data.draw(HEADERS)
    reply = caller.post(route, body, chunked=chunked, **headers)
    judge(route, reply, sane=nature == SANE)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.usefixtures("steady_memory")
@fuzz_calls
@given(data=st.data())
def test_a_mutated_count_has_a_clear_end(fuzzed: Fuzzed, provider: str, data: st.DataObject):
    nature = data.draw(st.sampled_from([SANE, INSANE]))
    body = data.draw(bodies(seeds("messages", f"{provider}/{nature}")))
    # The fake knows no such path: what counts is that this is told well.
    judge("count_tokens", fuzzed.free.post("count_tokens", body), sane=False)


@pytest.mark.parametrize("route", PATHS)
@pytest.mark.filterwarnings(f"ignore::{HypothesisWarning.__module__}.{HypothesisWarning.__name__}")
@pytest.mark.usefixtures("steady_memory")
@described_calls
@given(data=st.data())
def test_what_the_description_allows_has_a_clear_end(
    fuzzed: Fuzzed, route: str, data: st.DataObject, described: Any
):
    operation = described[PATHS[route]]["POST"]
    body = data.draw(operation.as_strategy()).body
    model = data.draw(st.sampled_from([f"{name}/{SANE}" for name in ("openai", "anthropic")]))
    if isinstance(body, dict):
        body["model"] = model
    try:
        sent = json_of(body)
    except (TypeError, ValueError):
        return  # A body that is absent.
    judge(route, fuzzed.free.post(route, sent), sane=route != "count_tokens")


@pytest.fixture(scope="module")
def described(fuzzed: Fuzzed) -> Any:
    """The server's own description."""
    document = fuzzed.server.get("/openapi.json", key="")
    return schemathesis.openapi.from_dict(document)
