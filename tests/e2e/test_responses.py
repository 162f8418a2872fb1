"""`/v1/responses`, and conversations that go on from stored ones."""

from __future__ import annotations

import time

import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.e2e.checks import openai_error
from tests.e2e.constants import PROMPT
from tests.e2e.purses import new_project, purse
from tests.e2e.upstreams import (
    answer_messages,
    claude,
    response,
)
from tests.support.server import RunningServer

# --- responses ---------------------------------------------------------------------------------


def test_a_conversation_that_the_provider_keeps(server: RunningServer, upstream: FakeUpstream):
    number = time.monotonic_ns()
    first_id, second_id = f"resp_{number}a", f"resp_{number}b"
    ids = iter([first_id, second_id])
    model = upstream.model(lambda turn: turn.reply(response(next(ids))))
    path = f"/v1/responses/{first_id}"
    upstream.at(path, lambda turn: turn.reply(response(first_id)))
    other = purse(server, project=new_project(server))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        first = sdk.responses.create(model=model, input=PROMPT)
        assert first.id == first_id
        second = sdk.responses.create(model=model, input="And?", previous_response_id=first.id)
        assert second.id == second_id
        assert upstream.seen(model)[1].json()["previous_response_id"] == first_id
        assert sdk.responses.retrieve(first_id).output_text == first.output_text
        for call in ({"path": path}, {"path": path, "method": "DELETE"}):
            foreign = server.request(call.get("method", "GET"), call["path"], key=other.key)
            assert foreign.status == 404
        stolen = server.request(
            "POST",
            "/v1/responses",
            {"model": model, "input": "x", "previous_response_id": first_id},
            key=other.key,
        )
        assert (stolen.status, openai_error(stolen)["param"]) == (404, "previous_response_id")
        sdk.responses.delete(first_id)
        assert [seen.method for seen in upstream.seen(path)] == ["GET", "DELETE"]
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(first_id)


def test_a_conversation_that_is_kept_here(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    other = purse(server, project=new_project(server))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        first = sdk.responses.create(model=model, input="Who are you?", instructions="Be brief.")
        second = sdk.responses.create(model=model, input="And?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        body = upstream.seen(model)[1].json()
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
        assert "system" not in body  # Instructions are for one call.
        # Any other model may go on.
        third = sdk.responses.create(model="echo", input="So?", previous_response_id=second.id)
        assert third.output_text == "So?"
        assert sdk.responses.retrieve(first.id).to_dict() == first.to_dict()
        assert server.request("GET", f"/v1/responses/{first.id}", key=other.key).status == 404
        sdk.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError) as failure:
            sdk.responses.create(model=model, input="x", previous_response_id=first.id)
        assert failure.value.code == "response_not_found"


def test_what_shall_not_be_stored_is_not(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        answer = sdk.responses.create(model=model, input=PROMPT, store=False)
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(answer.id)


def test_a_streamed_response_is_stored_too(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        with sdk.responses.stream(model=model, input=PROMPT) as stream:
            final = stream.get_final_response()
        assert sdk.responses.retrieve(final.id).output_text == final.output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"background": True}, "background"), ({"conversation": "conv_1"}, "conversation")],
)
def test_what_is_not_offered_is_refused_by_name(server: RunningServer, fields, param):
    reply = server.request("POST", "/v1/responses", {"model": "echo", "input": "x", **fields})
    error = openai_error(reply)
    assert (reply.status, error["param"]) == (400, param)
    assert "not" in error["message"]
    assert "offered" in error["message"] or "available" in error["message"]
