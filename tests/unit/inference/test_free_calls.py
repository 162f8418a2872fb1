"""What callers may ask of a provider that costs nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.inference.fakes import PRINCIPAL, context
from tests.unit.inference.serving import Gateway, message, read, response
from torana.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderGone,
    ResponseNotFound,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
)
from torana.inference.free_calls import TokenCount

USER = {"role": "user", "content": "hi"}
STRANGER = msgspec.structs.replace(PRINCIPAL, project_id="proj_2")


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def count(gateway: Gateway, model: str, *, call: Any = None, **fields: Any) -> TokenCount:
    body = {"model": model, "messages": [USER], **fields}
    return gateway.free.count_tokens(json.dumps(body).encode(), call or context())


def estimated(gateway: Gateway, **fields: Any) -> int:
    counted = count(gateway, "local/m", **fields)
    assert counted.estimated
    found = json.loads(counted.body)
    assert list(found) == ["input_tokens"]
    return int(found["input_tokens"])


# --- counting ----------------------------------------------------------------------------------


def test_a_provider_that_counts_is_asked(gateway):
    gateway.claude.tries.append([b'{"input_tokens": 4711, "brand_new": 1e400}'])
    counted = count(
        gateway,
        "claude/claude-opus-5",
        brand_new=[1],
        call=context(forwarded={"anthropic-beta": "b"}),
    )
    # Its own words, with whatever else it says.
    assert counted.body == b'{"input_tokens": 4711, "brand_new": 1e400}'
    assert not counted.estimated
    (sending,) = gateway.claude.sent
    assert (sending.path, sending.request_id) == ("/messages/count_tokens", "req_1")
    assert sending.forwarded == {"anthropic-beta": "b"}
    body = {"model": "claude-opus-5", "messages": [USER], "brand_new": [1]}
    assert gateway.claude.body() == body
    assert gateway.claude.answers[0].closed == 1


def test_a_provider_that_counts_is_not_sent_anothers_thinking(gateway):
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    turns = [USER, {"role": "assistant", "content": [thought, {"type": "text", "text": "x"}]}, USER]
    gateway.claude.says({"input_tokens": 1})
    count(gateway, "claude/claude-opus-5", messages=turns)
    assert "Hm." not in json.dumps(gateway.claude.body())


def test_nobody_is_charged_for_a_count(gateway):
    gateway.claude.says({"input_tokens": 1})
    count(gateway, "claude/claude-opus-5")
    estimated(gateway)
    assert (gateway.teller.asked, gateway.teller.posts) == ([], [])


def test_what_no_provider_counts_is_estimated_without_asking(gateway):
    words = "one two three four five six seven eight nine ten " * 20
    tokens = estimated(gateway, messages=[{"role": "user", "content": words}])
    assert 200 <= tokens <= 240
    assert gateway.local.sent == []


def test_an_estimate_grows_with_all_that_the_model_reads(gateway):
    bare = estimated(gateway)
    long = "You are a helpful assistant. " * 20
    tools = [
        {
            "name": "get_weather",
            "description": "The weather of a place. " * 10,
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]
    assert estimated(gateway, system=long) > bare + 80
    assert estimated(gateway, tools=tools) > bare + 40
    assert estimated(gateway, messages=[USER, {"role": "assistant", "content": "x"}, USER]) > bare


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({"messages": [USER]}, InvalidRequest, "model"),
        ({"model": "local/m"}, InvalidRequest, "messages"),
        ({"model": "nobodys", "messages": [USER]}, ModelNotFound, "model"),
        ({"model": "local/m", "messages": 7}, InvalidRequest, "messages"),
    ],
)
def test_a_count_of_what_is_no_request_is_refused(gateway, body, error, param):
    with pytest.raises(error) as caught:
        gateway.free.count_tokens(json.dumps(body).encode(), context())
    assert caught.value.param == param


def test_a_provider_that_fails_to_count_is_an_error_and_no_guess(gateway):
    gateway.claude.tries.append(UpstreamTimeout("slow"))
    with pytest.raises(UpstreamTimeout):
        count(gateway, "claude/claude-opus-5")


# --- stored answers ----------------------------------------------------------------------------


def kept_here(gateway: Gateway) -> dict[str, Any]:
    gateway.claude.says(message())
    return read(gateway.responses_call("claude/claude-opus-5"))


def kept_there(gateway: Gateway, response_id: str = "resp_a") -> str:
    gateway.openai.says(response(response_id))
    read(gateway.responses_call("openai/gpt-4o"))
    gateway.openai.sent.clear()
    return response_id


def test_what_is_kept_here_is_shown_without_its_provider(gateway):
    told = kept_here(gateway)
    gateway.claude.sent.clear()
    assert json.loads(gateway.free.get_response(told["id"], context())) == told
    assert gateway.claude.sent == []


def test_what_its_provider_keeps_is_fetched_there(gateway):
    kept_there(gateway)
    gateway.openai.tries.append([b'{"id": "resp_a", "n": 1e400}'])
    assert gateway.free.get_response("resp_a", context()) == b'{"id": "resp_a", "n": 1e400}'
    (sending,) = gateway.openai.sent
    assert (sending.path, sending.body, sending.deletes) == ("/responses/resp_a", None, False)


def test_an_odd_id_stays_one_part_of_the_path(gateway):
    kept_there(gateway, "resp/../a?b#c")
    gateway.openai.says({})
    gateway.free.get_response("resp/../a?b#c", context())
    assert gateway.openai.sent[0].path == "/responses/resp%2F..%2Fa%3Fb%23c"


def test_what_is_kept_here_is_deleted_here(gateway):
    told = kept_here(gateway)
    gateway.claude.sent.clear()
    deleted = json.loads(gateway.free.delete_response(told["id"], context()))
    assert deleted == {"id": told["id"], "object": "response", "deleted": True}
    assert gateway.claude.sent == []
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response(told["id"], context())


def test_what_its_provider_keeps_is_deleted_in_both_places(gateway):
    kept_there(gateway)
    gateway.openai.says({"id": "resp_a", "deleted": True})
    deleted = json.loads(gateway.free.delete_response("resp_a", context()))
    assert deleted == {"id": "resp_a", "object": "response", "deleted": True}
    (sending,) = gateway.openai.sent
    assert (sending.path, sending.body, sending.deletes) == ("/responses/resp_a", None, True)
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response("resp_a", context())


def test_what_is_gone_at_its_provider_goes_here_too(gateway):
    kept_there(gateway)
    gateway.openai.tries.append(UpstreamRejected("no such response", status=404))
    assert json.loads(gateway.free.delete_response("resp_a", context()))["deleted"]
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response("resp_a", context())


@pytest.mark.parametrize(
    "error", [UpstreamRejected("no", status=400), UpstreamTimeout("slow"), UpstreamError("500")]
)
def test_what_could_not_be_deleted_at_its_provider_is_still_here(gateway, error):
    kept_there(gateway)
    gateway.openai.tries.append(error)
    with pytest.raises(type(error)):
        gateway.free.delete_response("resp_a", context())
    gateway.openai.says({"id": "resp_a"})
    assert gateway.free.get_response("resp_a", context()) == b'{"id": "resp_a"}'


def test_of_a_provider_that_was_taken_away_nothing_can_be_fetched(gateway):
    kept_there(gateway)
    del gateway.providers["openai"]
    for ask in (gateway.free.get_response, gateway.free.delete_response):
        with pytest.raises(ProviderGone) as caught:
            ask("resp_a", context())
        assert caught.value.should_retry is False
    assert gateway.responses.find("resp_a", context())


def test_what_is_kept_here_outlives_its_provider(gateway):
    told = kept_here(gateway)
    del gateway.providers["claude"]
    assert json.loads(gateway.free.get_response(told["id"], context())) == told


def test_a_stranger_neither_sees_nor_deletes(gateway):
    ids = [kept_there(gateway), kept_here(gateway)["id"]]
    for response_id in ids:
        for ask in (gateway.free.get_response, gateway.free.delete_response):
            with pytest.raises(ResponseNotFound):
                ask(response_id, context(principal=STRANGER))
    assert gateway.openai.sent == []
    assert len(gateway.conversations.rows) == 2


def test_a_free_answer_that_breaks_is_closed(gateway):
    kept_there(gateway)
    gateway.openai.tries.append([b"{", UpstreamTimeout("slow")])
    with pytest.raises(UpstreamTimeout):
        gateway.free.get_response("resp_a", context())
    assert gateway.openai.answers[-1].closed == 1
