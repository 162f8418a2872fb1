"""The SDKs' asynchronous clients, which read streams with code of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import SECONDS, Caller
from tests.conformance.pairs import Upstream, model_of, reading
from tests.conformance.scenarios import Scenario
from tests.contract.fake_upstream import FakeUpstream
from tests.support.server import RunningServer

Question = dict[str, Any]


async def _chat(torana: RunningServer, question: Question) -> Any:
    async with (
        openai.AsyncOpenAI(
            base_url=f"{torana.url}/v1", api_key=torana.key, max_retries=0, timeout=SECONDS
        ) as sdk,
        sdk.chat.completions.stream(**question, stream_options={"include_usage": True}) as stream,
    ):
        return await stream.get_final_completion()


async def _responses(torana: RunningServer, question: Question) -> Any:
    async with (
        openai.AsyncOpenAI(
            base_url=f"{torana.url}/v1", api_key=torana.key, max_retries=0, timeout=SECONDS
        ) as sdk,
        sdk.responses.stream(**question) as stream,
    ):
        return await stream.get_final_response()


async def _messages(torana: RunningServer, question: Question) -> Any:
    async with (
        anthropic.AsyncAnthropic(
            base_url=torana.url, api_key=torana.key, max_retries=0, timeout=SECONDS
        ) as sdk,
        sdk.messages.stream(**question) as stream,
    ):
        return await stream.get_final_message()


_STREAMS: dict[str, Callable[[RunningServer, Question], Awaitable[Any]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
}


@pytest.mark.parametrize(
    "scenario", [scenarios.PARALLEL, scenarios.THINKING, scenarios.UNICODE], ids=lambda s: s.name
)
def test_an_asynchronous_stream_gathers_the_same(
    caller: Caller,
    target: Upstream,
    upstream: FakeUpstream,
    torana: RunningServer,
    scenario: Scenario,
):
    golden = target.module.GOLDENS[scenario.name][0]
    _name, model = model_of(upstream, target, golden.play)
    question = caller.question(scenario.asked, model)

    async def ask() -> Any:
        return await _STREAMS[caller.name](torana, question)

    message = asyncio.run(ask())
    assert caller.read(message) == reading(caller.name, target.name, golden.said)
