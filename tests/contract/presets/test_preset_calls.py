"""Every preset against a server with the manners of the real one: calls that go well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.calls import LIMIT, send
from tests.contract.fake_upstream import FakeUpstream, Seen
from tests.contract.presets.adding import added, asked
from tests.contract.presets.manners import ARGUMENTS, KEY, WORDS, Server
from torana.core.chat import ToolCall
from torana.core.events import ArgumentsGrew, Ended, Event, PartBegan, TextGrew, UsageTold
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import InvalidRequest
from torana.outbound.client import Answer, HttpClient
from torana.providers import Provider

TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]
EVERYTHING: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 64,
    "metadata": {"team": "blue"},
    "parallel_tool_calls": True,
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "seed": 7,
    "stop": ["\n\n"],
    "store": False,
    "temperature": 0.2,
    "top_logprobs": 2,
    "top_p": 0.9,
    "user": "u-1",
    "verbosity": "low",
    "web_search_options": {},
}
"""What callers of OpenAI's send."""
HISTORY: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Hello", "name": "asha"},
    {
        "role": "assistant",
        "content": "Hello!",
        "reasoning_content": "A greeting.",
        "reasoning_details": [{"type": "reasoning.text", "text": "A greeting."}],
    },
    {"role": "user", "content": "And now?"},
]


def received(upstream: FakeUpstream, server: Server) -> Seen:
    """The last request for the server's model."""
    return upstream.seen(server.model)[-1]


def read_stream(answer: Answer, *, include_usage: bool) -> tuple[bytes, list[Event], Any]:
    """What the caller gets, the events of a translation, and the fold that watched."""
    fold = OPENAI_CHAT.fold(
        OPENAI_CHAT.decode_request(
            json.dumps(
                {"model": "m", "messages": [], "stream": True}
                | ({"stream_options": {"include_usage": True}} if include_usage else {})
            ).encode()
        ),
        request_id="req_1",
        keeps_text=True,
    )
    reader = OPENAI_CHAT.reader()
    splitter = FrameSplitter()
    passed, events = b"", list[Event]()
    for piece in answer.chunks():
        for frame in splitter.feed(piece):
            data = data_of(frame)
            passed += fold.pass_on(frame, data)
            events += reader.read(data) if data else []
    assert splitter.rest == b""
    assert fold.finished
    assert reader.finished
    return passed, events + reader.finish(), fold


def test_a_json_answer_comes_with_its_usage(provider: Provider, server: Server, http: HttpClient):
    answer = send(provider, http, asked(provider, server.model))
    parsed = OPENAI_CHAT.decode_answer(answer.read(LIMIT))
    assert parsed.usage == server.counted
    reply = OPENAI_CHAT.read_reply(parsed.body)
    assert json.loads(parsed.body)["choices"][0]["message"]["content"] == "".join(WORDS)
    assert reply.usage == server.counted


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_comes_with_its_usage(
    provider: Provider, server: Server, http: HttpClient, include_usage: bool
):
    more = {"stream_options": {"include_usage": True}} if include_usage else {}
    answer = send(provider, http, asked(provider, server.model, stream=True, **more))
    _, events, fold = read_stream(answer, include_usage=include_usage)
    assert fold.usage == server.counted
    assert fold.visible == "".join(WORDS)
    assert [event.usage for event in events if isinstance(event, UsageTold)][-1] == server.counted
    text = "".join(event.text for event in events if isinstance(event, TextGrew))
    assert text == "".join(WORDS)
    assert sum(isinstance(event, Ended) for event in events) == 1


def test_a_call_of_a_tool_comes_whole(provider: Provider, server: Server, http: HttpClient):
    body = asked(provider, server.model, tools=TOOLS)
    reply = OPENAI_CHAT.read_reply(send(provider, http, body).read(LIMIT))
    (call,) = [part for part in reply.parts if isinstance(part, ToolCall)]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Pune"})


def test_a_call_of_a_tool_streams_whole(provider: Provider, server: Server, http: HttpClient):
    answer = send(provider, http, asked(provider, server.model, tools=TOOLS, stream=True))
    _, events, fold = read_stream(answer, include_usage=False)
    (begun,) = [event.part for event in events if isinstance(event, PartBegan)]
    assert isinstance(begun, ToolCall)
    assert (begun.name, begun.id) == ("weather", "call_1")
    grown = "".join(event.text for event in events if isinstance(event, ArgumentsGrew))
    assert grown == "".join(ARGUMENTS)
    assert fold.usage == server.counted
    assert "weather" in fold.visible


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_server_refuses_does_not_reach_it_and_is_told(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream, stream: bool
):
    more = {"stream_options": {"include_usage": True}} if stream else {}
    body = asked(
        provider, server.model, **(EVERYTHING | {"messages": HISTORY, "stream": stream} | more)
    )
    send(provider, http, body).read(LIMIT)
    before, after = json.loads(body), received(upstream, server).json()
    told = set(provider.drops(OPENAI_CHAT.decode_request(body).fields))
    silent = {old for old, _ in provider.config.options.renamed} | {"stream_options"}
    gone = {field for field in before if field not in after and field not in silent}
    gone |= {
        f"messages[].{field}"
        for old, new in zip(before["messages"], after["messages"], strict=True)
        for field in old
        if field not in new
    }
    assert gone == told
    kept = {field: value for field, value in before.items() if field in after}
    assert {field: after[field] for field in kept if field != "messages"} == {
        field: value for field, value in kept.items() if field != "messages"
    }
    assert [message["content"] for message in after["messages"]] == [
        message["content"] for message in HISTORY
    ]


@pytest.mark.parametrize("limits", [("max_tokens",), ("max_completion_tokens",), ()])
def test_the_limit_of_output_reaches_a_server_under_a_name_that_it_knows(
    provider: Provider,
    server: Server,
    http: HttpClient,
    upstream: FakeUpstream,
    limits: tuple[str, ...],
):
    request = OPENAI_CHAT.decode_request(asked(provider, "m", **dict.fromkeys(limits, 5000)))
    body = OPENAI_CHAT.encode_upstream(
        request,
        model=server.model,
        max_output=100,
        max_output_field=provider.max_output_field,
    )
    send(provider, http, body).read(LIMIT)
    sent = received(upstream, server).json()
    known = {"max_tokens"} | ({"max_completion_tokens"} if server.knows_newer_limit else set())
    assert {sent.get(field) for field in known} >= {100}
    assert 5000 not in sent.values()


def test_the_model_is_named_as_it_is(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    for model in ("a/b:c@d", "org/team/model-1.5", "name with space?x=1#y"):
        upstream.model(server.play, exactly=model)
        answer = send(provider, http, asked(provider, model))
        assert answer.status == 200
        answer.close()
        assert upstream.seen(model)[-1].json()["model"] == model


def test_the_key_is_where_it_is_wanted_and_nowhere_else(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    send(provider, http, asked(provider, server.model)).close()
    seen = received(upstream, server)
    found = {field for field, value in seen.headers.items() if KEY in value}
    assert found == ({server.key[0]} if server.key is not None else set())
    assert {"authorization", "x-api-key", "api-key"} & set(seen.headers) == found
    assert KEY not in seen.path
    assert KEY.encode() not in seen.body


def test_connections_are_kept_where_the_server_keeps_them(
    provider: Provider, server: Server, http: HttpClient, upstream: FakeUpstream
):
    for stream in (True, False, True):
        answer = send(provider, http, asked(provider, server.model, stream=stream))
        answer.read(LIMIT)
    last = upstream.seen(server.model)[-3:]
    assert len({seen.connection for seen in last}) == (3 if server.closes else 1)


@pytest.mark.parametrize("model", [".", ".."])
def test_a_name_that_leads_elsewhere_is_refused(
    http: HttpClient, upstream: FakeUpstream, model: str
):
    provider = added("azure-classic", upstream)
    with pytest.raises(InvalidRequest):
        send(provider, http, asked(provider, model))
    assert upstream.seen(model) == []
