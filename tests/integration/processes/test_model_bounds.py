"""The bytes of a request bound the prompt that a real model with its real template reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torana import model_server
from torana.core.money import UNITS, Price, PriceTerms, Rates
from torana.dialects.openai_chat.costs import read_costs
from torana.dialects.openai_chat.requests import decode_request
from torana.ledger.bounds import call_bound
from torana.processes.ports import free_port
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor
from torana.routing.catalog import Target
from torana.settings import Settings

AVAILABLE, HINT = model_server.local_model_available()
KEY = "the-key-of-this-test-run"
ONE_EACH = PriceTerms(rates=Rates(input_tokens=UNITS))
"""A token of the prompt costs one nano-dollar, so that a bound is a number of tokens."""
TARGET = Target(provider="local", model="m", price=Price(id="price_1", terms=ONE_EACH))

pytestmark = [pytest.mark.model, pytest.mark.skipif(not AVAILABLE, reason=HINT)]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    request = StopRequest()
    with Supervisor(request, stop_seconds=5.0) as supervisor:
        folder = Settings(data_dir=tmp_path_factory.mktemp("data"))
        supervisor.start(model_server.model_child(folder, port=port, key=KEY))
        supervisor.wait_ready()
        yield port
    request.close()


def prompt_tokens(port: int, body: bytes) -> int:
    connection = HTTPConnection(model_server.HOST, port, timeout=300)
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        tokens: int = json.loads(data)["usage"]["prompt_tokens"]
        return tokens
    finally:
        connection.close()


TEXTS = st.text(max_size=60)
MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant"]),
        "content": TEXTS | st.builds(lambda text: [{"type": "text", "text": text}], TEXTS),
    }
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "description": "Finds it: é",
            "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
        },
    }
]


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS}])
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=st.lists(MESSAGE, max_size=3), last=TEXTS, ascii_only=st.booleans())
def test_no_prompt_is_longer_than_its_bound(
    port: int, more: dict[str, Any], messages: list[Any], last: str, ascii_only: bool
) -> None:
    fields = {
        "model": "m",
        "messages": [*messages, {"role": "user", "content": last}],
        "max_tokens": 1,
        **more,
    }
    body = json.dumps(fields, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    bound = call_bound(read_costs(decode_request(body)), [TARGET])
    assert prompt_tokens(port, body) <= bound.nano()
