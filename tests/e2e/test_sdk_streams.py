"""Streams through the official SDK: they flow, they are whole, many at once, and they are paid."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.contract.fake_upstream import USAGE, WAIT_SECONDS, FakeUpstream, Gate, Turn
from tests.e2e.constants import INPUT_RATE, OUTPUT_RATE, PROMPT, SDK_SECONDS
from tests.support.server import RunningServer

PARALLEL = 20


def _stream(
    client: openai.OpenAI, model: str, text: str = PROMPT, *, include_usage: bool | None = None
) -> openai.Stream[ChatCompletionChunk]:
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options=openai.omit if include_usage is None else {"include_usage": include_usage},
    )


def _text(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_each_chunk_arrives_before_the_provider_sends_the_next(
    client: openai.OpenAI, upstream: FakeUpstream
):
    gates = [Gate() for _ in range(3)]

    def one_by_one(turn: Turn) -> None:
        turn.begin_stream()
        for number, gate in enumerate(gates):
            turn.words(f"word{number} ")
            gate.wait()
        turn.end_stream()

    with _stream(client, upstream.model(one_by_one)) as stream:
        for number, gate in enumerate(gates):
            # The provider waits at the gate: nothing but this chunk can have woken us.
            assert next(stream).choices[0].delta.content == f"word{number} "
            gate.open()
        assert next(stream).choices[0].finish_reason == "stop"
        assert list(stream) == []


def test_a_drip_of_echo_flows_as_it_comes(client: openai.OpenAI, server: RunningServer):
    with _stream(client, "echo/words=6,drip_ms=50") as stream:
        request_id = stream.response.headers["x-request-id"]
        first = next(stream)
        # The row is written before the last event: without it the answer is not over.
        assert server.request("GET", f"/api/ledger/{request_id}").status == 404
        chunks = [first, *stream]
    assert _text(chunks) == " ".join(f"word{number}" for number in range(6))
    assert server.entry(request_id)["status"] == "ok"


def test_a_streams_row_is_there_when_its_last_event_is(
    client: openai.OpenAI, server: RunningServer, upstream: FakeUpstream
):
    with _stream(client, upstream.model()) as stream:
        request_id = stream.response.headers["x-request-id"]
        assert "x-torana-cost-usd" not in stream.response.headers
        assert len(list(stream)) == 2
    call = server.get(f"/api/ledger/{request_id}")
    (entry,) = call["entries"]
    assert entry["streamed"] is True
    assert entry["first_byte_ms"] <= entry["duration_ms"]
    tokens = USAGE["prompt_tokens"] * INPUT_RATE + USAGE["completion_tokens"] * OUTPUT_RATE
    assert call["cost_nano"] == entry["cost_nano"] == tokens // 1_000_000


@pytest.mark.parametrize("wish", [None, False])
def test_the_usage_chunk_is_taken_out_unless_it_was_asked_for(
    client: openai.OpenAI, upstream: FakeUpstream, wish: bool | None
):
    model = upstream.model()
    with _stream(client, model, include_usage=wish) as stream:
        chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    # The ledger needs it, so the provider was asked for it all the same.
    (seen,) = upstream.seen(model)
    assert seen.json()["stream_options"]["include_usage"] is True


def test_the_usage_chunk_is_the_last_when_it_was_asked_for(
    client: openai.OpenAI, upstream: FakeUpstream
):
    with _stream(client, upstream.model(), include_usage=True) as stream:
        chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == USAGE["total_tokens"]
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_twenty_streams_run_at_once_and_do_not_mix(server: RunningServer, upstream: FakeUpstream):
    together = threading.Barrier(PARALLEL)

    def when_all_are_there(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("begin ")
        together.wait(WAIT_SECONDS)
        for word in turn.request.json()["messages"][0]["content"].split():
            turn.words(f"{word} ")
        turn.end_stream()

    model = upstream.model(when_all_are_there)

    async def ask(sdk: openai.AsyncOpenAI, number: int) -> str:
        stream = await sdk.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": f"{PROMPT} caller {number}"}],
            stream=True,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=SDK_SECONDS
        ) as sdk:
            return await asyncio.gather(*(ask(sdk, number) for number in range(PARALLEL)))

    expected = [f"begin {PROMPT} caller {number} " for number in range(PARALLEL)]
    assert asyncio.run(ask_all()) == expected
    entries = server.entries_of(model, PARALLEL)
    assert {entry["status"] for entry in entries} == {"ok"}


def test_the_sync_client_runs_many_streams_in_threads(client: openai.OpenAI):
    def ask(number: int) -> str:
        with _stream(client, "echo/drip_ms=5", f"{PROMPT} caller {number}") as stream:
            return _text(list(stream))

    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(ask, range(PARALLEL)))
    assert answers == [f"{PROMPT} caller {number}" for number in range(PARALLEL)]


def test_a_stream_without_usage_costs_its_bound(client: openai.OpenAI, server: RunningServer):
    with _stream(client, "echo/usage=0") as stream:
        request_id = stream.response.headers["x-request-id"]
        assert _text(list(stream)) == PROMPT
    entry = server.entry(request_id)
    assert (entry["status"], entry["counted"]) == ("ok", "bound")
    assert entry["cost_nano"] == entry["bound_nano"] > 0
