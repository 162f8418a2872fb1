"""The simulator's newer routes, read by the SDKs, and what its books say of them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest


@pytest.fixture
def sdk(simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(simulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.url, api_key="none", max_retries=0) as client:
        yield client


def test_a_response_is_the_same_as_json_and_as_a_stream(simulator, sdk):
    simulator.behave(input_tokens=13, output_tokens=8, chunks=4, journal=True)
    whole = sdk.responses.create(model="gpt-4o-mini", input="hello")
    with sdk.responses.stream(model="gpt-4o-mini", input="hello") as stream:
        events = list(stream)
    final = stream.get_final_response()
    assert whole.output_text == final.output_text != ""
    assert [event.type for event in events].count("response.output_text.delta") == 4
    numbers = [event.sequence_number for event in events if hasattr(event, "sequence_number")]
    assert numbers == sorted(set(numbers))
    journal = simulator.account()["journal"]
    assert journal.keys() == {whole.id, final.id}
    for answer in (whole, final):
        usage = answer.usage
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (13, 8, 21)
        entry = journal[answer.id]
        assert (entry["dialect"], entry["input_tokens"], entry["output_tokens"]) == (
            *("responses", 13),
            8,
        )


def test_a_message_is_the_same_as_json_and_as_a_stream(simulator, claude):
    simulator.behave(input_tokens=13, output_tokens=8, chunks=4, journal=True)
    ask: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hello"}],
    }
    whole = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        final = stream.get_final_message()
    assert whole.content[0].text == final.content[0].text != ""
    journal = simulator.account()["journal"]
    assert journal.keys() == {whole.id, final.id}
    for answer in (whole, final):
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (13, 8)
        assert journal[answer.id]["output_tokens"] == 8


def test_vectors_come_as_numbers_or_as_little_endian_floats(simulator, sdk):
    simulator.behave(input_tokens=9, journal=True)
    body = {"model": "text-embedding-3-small", "input": ["a", "b", "c"], "dimensions": 4}
    status, plain, headers = simulator.call("POST", "/v1/embeddings", body)
    assert status == 200
    assert [item["index"] for item in plain["data"]] == [0, 1, 2]
    _, packed, _ = simulator.call("POST", "/v1/embeddings", body | {"encoding_format": "base64"})
    for numbers, text in zip(plain["data"], packed["data"], strict=True):
        values = struct.unpack("<4f", base64.b64decode(text["embedding"]))
        assert values == pytest.approx(numbers["embedding"])
    read = sdk.embeddings.create(model="text-embedding-3-small", input="hello")
    assert len(read.data[0].embedding) == 1536
    assert read.usage.prompt_tokens == 9
    entry = simulator.account()["journal"][headers["x-request-id"]]
    assert (entry["dialect"], entry["input_tokens"], entry["output_tokens"]) == ("embeddings", 9, 0)


@pytest.mark.parametrize(
    ("path", "body", "usage"),
    [
        ("/v1/responses", {"input": "12345678", "instructions": "12"}, (3, 60)),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": "1234"}], "max_output_tokens": 5},
            (1, 5),
        ),
        ("/v1/embeddings", {"input": ["12345", "678"]}, (2, 0)),
        ("/v1/embeddings", {"input": [1, 2, 3]}, (3, 0)),
        ("/v1/embeddings", {"input": [[1, 2, 3], [4]]}, (4, 0)),
    ],
)
def test_the_bill_can_follow_from_the_request(simulator, path, body, usage):
    simulator.behave(bill="request")
    assert simulator.call("POST", path, {"model": "m", **body})[0] == 200
    tally = simulator.account()["models"]["m"]
    assert (tally["input_tokens"], tally["output_tokens"]) == usage


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/messages"])
def test_a_call_without_a_prompt_is_refused_and_not_billed(simulator, path):
    assert simulator.call("POST", path, {"model": "m", "max_tokens": 1})[0] == 400
    assert simulator.account()["totals"]["requests"] == 0


@pytest.mark.parametrize("change", [{"dimensions": 5000}, {"dimensions": -1}, {"input": []}])
def test_vectors_that_no_model_makes_are_refused(simulator, change):
    body = {"model": "m", "input": "x", **change}
    assert simulator.call("POST", "/v1/embeddings", body)[0] == 400
