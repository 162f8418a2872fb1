"""The real local model through the real SDK."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess

import openai
import pytest

pytestmark = pytest.mark.model
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def client(with_model):
    with openai.OpenAI(base_url=f"{with_model.url}/v1", api_key=with_model.key) as made:
        yield made


def test_the_first_start_shows_real_words_of_the_model_and_their_cost(with_model):
    answer = re.search(r"Answer\s+(\S.*)", with_model.output)
    assert answer, with_model.output
    assert re.search(r"[A-Za-z]{3,}", answer[1])
    assert re.search(r"On record\s+\d+ tokens in, \d+ out, 0\.\d+ USD, req_\w+", with_model.output)


def test_the_pasted_curl_line_answers(with_model):
    line = next(line for line in with_model.output.splitlines() if line.startswith("curl http"))
    result = subprocess.run(
        [*shlex.split(line), "--silent", "--fail"], capture_output=True, text=True, check=True
    )
    assert '"finish_reason"' in result.stdout


def test_the_sdk_gets_an_answer_with_its_price(client):
    raw = client.chat.completions.with_raw_response.create(
        model="smollm2-135m", messages=QUESTION, max_tokens=40, temperature=0
    )
    answer = raw.parse()
    assert len((answer.choices[0].message.content or "").split()) > 3
    assert answer.model == "smollm2-135m"
    assert answer.usage is not None
    nano = answer.usage.prompt_tokens * 10 + answer.usage.completion_tokens * 20
    assert float(raw.headers["x-torana-cost-usd"]) == pytest.approx(nano / 1e9)
    assert raw.headers["x-torana-provider"] == "local"


def test_the_sdk_streams_words_as_they_are_made(client):
    stream = client.chat.completions.create(
        model="smollm2-135m",
        messages=QUESTION,
        max_tokens=40,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    words = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(words) > 3
    assert len("".join(words).split()) > 3
    assert {chunk.model for chunk in chunks} == {"smollm2-135m"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 3


def test_twenty_parallel_streams_of_the_async_sdk_all_complete(with_model):
    async def ask(client: openai.AsyncOpenAI, number: int) -> str:
        stream = await client.chat.completions.create(
            model="smollm2-135m",
            messages=[{"role": "user", "content": f"Count to {number}."}],
            max_tokens=12,
            stream=True,
        )
        words = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        return "".join(words)

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{with_model.url}/v1", api_key=with_model.key, timeout=120
        ) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(1, 21)))

    answers = asyncio.run(ask_all())
    assert len(answers) == 20
    assert all(answer.strip() for answer in answers)


def test_bad_requests_get_the_models_own_words(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="smollm2-135m", messages="no list")
    assert caught.value.body
