"""The official openai SDK against a real server: answers, headers, models."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.contract.fake_upstream import ANSWER, USAGE, FakeUpstream
from tests.e2e.constants import INPUT_RATE, OUTPUT_RATE, PROMPT, PROVIDER_KEY, SDK_SECONDS
from tests.support.server import RunningServer
from torana.ledger.bounds import CALL_TOKENS


def test_an_answer_comes_back_with_its_usage(client: openai.OpenAI):
    answer = client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": f"{PROMPT} two three"}]
    )
    assert answer.object == "chat.completion"
    assert answer.model == "echo"
    assert answer.choices[0].message.content == f"{PROMPT} two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 3)


def test_raw_responses_show_id_cost_provider_and_model(
    server: RunningServer, client: openai.OpenAI
):
    raw = client.chat.completions.with_raw_response.create(
        model="echo", messages=[{"role": "user", "content": f"{PROMPT} two"}], max_tokens=5
    )
    request_id = raw.headers["x-request-id"]
    assert raw.request_id == request_id == raw.headers["request-id"]
    # Two tokens in at 10 nano-dollars, two out at 20.
    assert raw.headers["x-torana-cost-usd"] == "0.00000006"
    assert raw.headers["x-torana-provider"] == "echo"
    assert raw.headers["x-torana-model"] == "echo"
    parsed = raw.parse()
    assert isinstance(parsed, ChatCompletion)
    assert parsed._request_id == request_id
    entry = server.entry(request_id)
    assert (entry["status"], entry["counted"], entry["http_status"]) == ("ok", "provider", 200)
    assert (entry["input_tokens"], entry["output_tokens"]) == (2, 2)
    assert (entry["cost_nano"], entry["cost_usd"]) == (60, "0.00000006")
    assert entry["cost_nano"] <= entry["bound_nano"]
    assert entry["streamed"] is False
    assert entry["key_id"] == server.key_id


def test_the_provider_gets_the_callers_fields_the_id_and_our_credential(
    server: RunningServer, client: openai.OpenAI, upstream: FakeUpstream
):
    model = upstream.model()
    raw = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": PROMPT}],
        temperature=0.25,
        extra_body={"a_field_of_tomorrow": {"large": 12345678901234567890, "exact": 1e-7}},
    )
    assert raw.parse().choices[0].message.content == ANSWER
    (seen,) = upstream.seen(model)
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert seen.headers["x-request-id"] == raw.headers["x-request-id"]
    assert seen.headers["accept-encoding"] == "identity"
    assert server.key not in str(seen)
    assert b'"a_field_of_tomorrow":{"large":12345678901234567890' in seen.body
    assert seen.json()["temperature"] == 0.25
    assert "stream_options" not in seen.json()


def test_a_call_costs_what_its_price_says(
    server: RunningServer, client: openai.OpenAI, upstream: FakeUpstream
):
    raw = client.chat.completions.with_raw_response.create(
        model=upstream.model(), messages=[{"role": "user", "content": PROMPT}], max_tokens=50
    )
    tokens = USAGE["prompt_tokens"] * INPUT_RATE + USAGE["completion_tokens"] * OUTPUT_RATE
    entry = server.entry(raw.headers["x-request-id"])
    assert entry["cost_nano"] == tokens // 1_000_000
    assert raw.headers["x-torana-cost-usd"] == entry["cost_usd"]
    # A token is at least a byte: more than the prompt, less than the whole body and a template.
    prompt, sent = len(PROMPT), len(raw.http_request.content) + CALL_TOKENS
    least, most = ((size * INPUT_RATE + 50 * OUTPUT_RATE) // 1_000_000 for size in (prompt, sent))
    assert least < entry["bound_nano"] < most


def test_streaming_responses_can_be_read_line_by_line(client: openai.OpenAI):
    with client.chat.completions.with_streaming_response.create(
        model="echo", messages=[{"role": "user", "content": f"{PROMPT} two"}], stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"].startswith("req_")
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_the_async_client_works_too(server: RunningServer):
    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=SDK_SECONDS
        ) as sdk:
            answer = await sdk.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": PROMPT}]
            )
            stream = await sdk.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": f"{PROMPT} b c"}], stream=True
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return answer.choices[0].message.content, "".join(pieces)

    assert asyncio.run(ask()) == (PROMPT, f"{PROMPT} b c")


def test_models_can_be_listed_and_retrieved(client: openai.OpenAI):
    listed = {model.id: model for model in client.models.list()}
    assert listed["echo"].owned_by == "echo"
    assert client.models.retrieve("echo") == listed["echo"]
    with pytest.raises(openai.NotFoundError) as failure:
        client.models.retrieve("no/such-model")
    assert failure.value.code == "model_not_found"


def test_the_sdk_reads_our_errors(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as failure:
        client.chat.completions.create(
            model="no-such-model", messages=[{"role": "user", "content": PROMPT}]
        )
    assert failure.value.code == "model_not_found"
    assert failure.value.param == "model"
    assert failure.value.type == "invalid_request_error"
    assert failure.value.request_id is not None
    with pytest.raises(openai.AuthenticationError) as refused:
        client.with_options(api_key="sk-tor-nonsense").models.list()
    assert refused.value.code == "invalid_api_key"


def test_keys_work_as_x_api_key_as_well(server: RunningServer):
    reply = server.request("GET", "/v1/models", key="", headers={"x-api-key": server.key})
    assert reply.status == 200
