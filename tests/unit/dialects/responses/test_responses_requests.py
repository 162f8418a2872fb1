"""Requests of Responses: what Torana reads of them, and that everything else passes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.items import (
    continued,
    conversation_items,
    output_items,
    without_foreign,
)
from torana.dialects.openai_responses.requests import decode_request, is_stored
from torana.dialects.signatures import pack
from torana.dialects.wire import WireRequest, encode_fields
from torana.errors import InvalidJson, InvalidRequest, UpstreamGarbage


def request(**fields: Any) -> WireRequest:
    return decode_request(json.dumps({"model": "m", "input": "hello", **fields}).encode())


# --- decoding ----------------------------------------------------------------------------------


def test_a_request_is_read_as_far_as_torana_must_know_it():
    found = request(
        stream=True, max_output_tokens=100, stream_options={"include_obfuscation": False}
    )
    assert (found.model, found.stream, found.max_output, found.choices) == ("m", True, 100, 1)
    assert found.include_usage


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x"}', "model"),
        (b'{"model":"","input":"x"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":null}', "input"),
        (b'{"model":"m","input":"x","stream":"yes"}', "stream"),
        (b'{"model":"m","input":"x","stream_options":{}}', "stream_options"),
        (b'{"model":"m","input":"x","background":true}', "background"),
        (b'{"model":"m","input":"x","background":1}', "background"),
        (b'{"model":"m","input":"x","max_output_tokens":-1}', "max_output_tokens"),
        (b'{"model":"m","input":"x","max_output_tokens":"7"}', "max_output_tokens"),
        (b'{"model":"m","input":"x","input":"y"}', "input"),
        (b'{"model":"m","input":"x","mod\\u0065l":"n"}', "model"),
    ],
)
def test_a_field_that_torana_reads_must_be_sound(body, param):
    with pytest.raises(InvalidRequest) as caught:
        decode_request(body)
    assert caught.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"\xff"}', b'"x"'])
def test_a_body_must_be_an_object(body):
    with pytest.raises(InvalidJson):
        decode_request(body)


def test_a_background_response_is_refused_in_words_that_say_why():
    with pytest.raises(InvalidRequest, match="not available yet"):
        request(background=True)
    assert not request(background=False).stream


@pytest.mark.parametrize(
    "fields", [{"previous_response_id": "resp_1"}, {"prompt": {"id": "p"}}, {"conversation": "c"}]
)
def test_the_input_may_be_missing_where_something_else_stands_for_it(fields):
    assert decode_request(json.dumps({"model": "m", **fields}).encode()).model == "m"


@pytest.mark.parametrize(
    ("fields", "stored"),
    [({}, True), ({"store": None}, True), ({"store": True}, True), ({"store": False}, False)],
)
def test_an_answer_is_stored_unless_the_caller_says_otherwise(fields, stored):
    assert is_stored(request(**fields)) is stored


def test_labels_come_from_the_fields_that_openai_has_for_them():
    found = OPENAI_RESPONSES.labels(request(user="ann", metadata={"team": "a"}))
    assert (found.end_user, found.tags) == ("ann", {"team": "a"})


# --- passing on --------------------------------------------------------------------------------


def test_everything_but_the_model_passes_as_it_came():
    body = (
        b'{"model":"m","input":[{"role":"user","content":"\\ud83d\\ude00 \\u00e9"}],'
        b'"big":123456789012345678901234567890,"float":1.0e400,"new":{"a":[1,2]}}'
    )
    sent = OPENAI_RESPONSES.encode_upstream(decode_request(body), model="theirs")
    assert sent == body.replace(b'"model":"m"', b'"model":"theirs"')


def test_a_limit_of_a_budget_takes_the_place_of_the_callers():
    sent = OPENAI_RESPONSES.encode_upstream(
        request(max_output_tokens=900), model="m", max_output=50, max_output_field="max_tokens"
    )
    assert json.loads(sent)["max_output_tokens"] == 50
    sent = OPENAI_RESPONSES.encode_upstream(request(), model="m", max_output=50)
    assert json.loads(sent) == {"model": "m", "input": "hello", "max_output_tokens": 50}


def test_a_stream_is_not_asked_for_its_usage_because_it_always_tells_it():
    sent = OPENAI_RESPONSES.encode_upstream(request(stream=True), model="m")
    assert json.loads(sent) == {"model": "m", "input": "hello", "stream": True}


# --- conversations that Torana keeps ------------------------------------------------------------


def plain(items: list[msgspec.Raw]) -> Any:
    return [json.loads(bytes(item)) for item in items]


def test_an_input_of_a_text_is_kept_as_a_message_of_the_user():
    kept = conversation_items(request(input="h\u00e9").fields)
    assert plain(kept) == [{"type": "message", "role": "user", "content": "hé"}]


def test_items_are_kept_as_they_came():
    item = b'{"role":"user","content":"\\u00e9","n":123456789012345678901234567890}'
    body = b'{"model":"m","input":[' + item + b"]}"
    (kept,) = conversation_items(decode_request(body).fields)
    assert bytes(kept) == item
    assert (
        conversation_items(decode_request(b'{"model":"m","previous_response_id":"r"}').fields) == []
    )


def test_an_input_that_is_no_list_cannot_be_kept():
    with pytest.raises(InvalidRequest) as caught:
        conversation_items(request(input={"a": 1}).fields)
    assert caught.value.param == "input"


def test_the_items_of_an_answer_are_its_output():
    assert plain(output_items(b'{"output":[{"type":"message","x":1}],"id":"r"}')) == [
        {"type": "message", "x": 1}
    ]
    with pytest.raises(UpstreamGarbage):
        output_items(b'{"output":{}}')


def test_a_continued_request_says_itself_what_came_before():
    asked = request(input="and now?", previous_response_id="resp_1", temperature=1)
    found = continued(asked, b'[{"role":"user","content":"hi"}]')
    assert json.loads(encode_fields(found.fields)) == {
        "model": "m",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "message", "role": "user", "content": "and now?"},
        ],
        "temperature": 1,
    }
    assert found.size > asked.size
    assert "previous_response_id" in asked.fields


def test_a_conversation_goes_on_without_a_new_input():
    asked = decode_request(b'{"model":"m","previous_response_id":"r"}')
    found = continued(asked, b'[{"role":"user","content":"hi"}]')
    assert json.loads(bytes(found.fields["input"])) == [{"role": "user", "content": "hi"}]


def test_another_vendors_thinking_is_taken_out_before_openai_refuses_it():
    foreign = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": pack("anthropic", None, "s"),
    }
    own = {**foreign, "encrypted_content": "gAAAA"}
    said = {"role": "user", "content": '"torana.anthropic.x'}
    found, lost = without_foreign(request(input=[said, foreign, own]))
    assert json.loads(bytes(found.fields["input"])) == [said, own]
    assert lost == ("thinking",)


@pytest.mark.parametrize(
    "value", ["hello", [{"role": "user", "content": "torana."}], [7, "torana."]]
)
def test_a_request_without_it_stays_the_same(value):
    asked = request(input=value)
    assert without_foreign(asked) == (asked, ())
