"""OpenAI's chat requests on their way to a provider: what was priced is what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.openai_chat.requests import decode_request, encode_upstream
from torana.errors import InvalidRequest


def sent(body: bytes | str, model: str = "target") -> bytes:
    request = decode_request(body.encode() if isinstance(body, str) else body)
    return encode_upstream(request, model=model)


def test_the_providers_name_of_the_model_takes_the_place_of_the_asked_one():
    assert sent('{"model":"a/b","messages":[]}', "b") == b'{"model":"b","messages":[]}'


@pytest.mark.parametrize(
    "value",
    [
        "123456789012345678901234567890",
        "-98765432109876543210.123456789012345678901234567890",
        "1E400",
        "1.0",
        "1e-7",
        "0.1000",
        r'"\u00e9\n\/"',
        r'"\ud83d\ude00"',
        '"é \U0001f600"',
        "[1, 2,  3]",
        '{"b": 1, "a": {"z" :null}}',
        '{"a": 1, "a": 2}',
        "true",
        "null",
    ],
)
def test_a_value_that_torana_does_not_read_goes_through_byte_for_byte(value):
    body = f'{{"model":"m","messages":{value},"unknown":{value}}}'
    assert sent(body) == f'{{"model":"target","messages":{value},"unknown":{value}}}'.encode()


def test_fields_keep_their_order_wherever_the_model_stands():
    body = b'{"z":1,"messages":[],"a":2,"model":"m","b":3}'
    assert list(json.loads(sent(body))) == ["z", "messages", "a", "model", "b"]


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"dear","messages":[],"model":"cheap"}',
        '{"model":"dear","model":"cheap","messages":[]}',
        # The same name, written otherwise.
        r'{"model":"dear","messages":[],"mod\u0065l":"cheap"}',
        r'{"\u006dodel":"dear","messages":[],"model":"cheap"}',
    ],
)
def test_a_field_that_occurs_twice_is_refused_so_no_other_model_can_hide_behind_the_priced_one(
    body,
):
    with pytest.raises(InvalidRequest, match="'model' occurs twice") as caught:
        decode_request(body.encode())
    assert (caught.value.status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("field", ["max_tokens", "n", "unknown"])
def test_every_field_that_occurs_twice_is_refused_by_name(field):
    body = f'{{"model":"m","messages":[],"{field}":9,"temperature":1,"{field}":5}}'
    with pytest.raises(InvalidRequest, match="occurs twice") as caught:
        decode_request(body.encode())
    assert caught.value.param == field


def test_a_stream_option_that_occurs_twice_is_refused_before_anything_is_sent():
    options = '{"include_usage":true,"include_usage":false}'
    with pytest.raises(InvalidRequest, match="'include_usage' occurs twice") as caught:
        decode_request(
            f'{{"model":"m","messages":[],"stream":true,"stream_options":{options}}}'.encode()
        )
    assert caught.value.param == "stream_options"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ("null", {"include_usage": True}),
        ("{}", {"include_usage": True}),
        ('{"include_usage":null}', {"include_usage": True}),
        ('{"include_usage":false}', {"include_usage": True}),
        (
            '{"include_obfuscation":false,"future":{"x":[1]}}',
            {"include_obfuscation": False, "future": {"x": [1]}, "include_usage": True},
        ),
        ('{"include_usage":true,"future":1}', {"include_usage": True, "future": 1}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage_and_keeps_its_other_options(options, expected):
    shown = "" if options is None else f',"stream_options":{options}'
    passed = json.loads(sent(f'{{"model":"m","messages":[],"stream":true{shown}}}'))
    assert passed["stream_options"] == expected
    assert passed["stream"] is True


def test_values_of_stream_options_go_through_byte_for_byte():
    passed = sent(
        r'{"model":"m","messages":[],"stream":true,"stream_options":{"big":12345678901234567890123,"s":"\u00e9"}}'
    )
    assert rb'"big":12345678901234567890123' in passed
    assert rb'"s":"\u00e9"' in passed


@pytest.mark.parametrize("shown", ["", ',"stream":false', ',"stream":null'])
def test_what_is_no_stream_is_asked_for_nothing(shown):
    assert b"stream_options" not in sent(f'{{"model":"m","messages":[]{shown}}}')


def test_a_model_name_is_written_as_json():
    passed = sent('{"model":"m","messages":[]}', 'a"b\\é')
    assert json.loads(passed)["model"] == 'a"b\\é'


def test_encoding_leaves_the_request_as_it_was():
    request = decode_request(b'{"model":"m","messages":[],"stream":true}')
    first = encode_upstream(request, model="one")
    assert encode_upstream(request, model="one") == first
    assert list(request.fields) == ["model", "messages", "stream"]


NAMES = st.text(min_size=1, max_size=8).filter(
    lambda name: name not in {"model", "messages", "stream", "stream_options", "n"}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, JSON, max_size=5), JSON, st.booleans())
def test_what_arrives_at_the_provider_differs_in_the_model_only(unknown, messages, ascii_only):
    fields: dict[str, Any] = {**unknown, "model": "asked", "messages": messages}
    if {"max_tokens", "max_completion_tokens"} & set(unknown):
        return
    body = json.dumps(fields, ensure_ascii=ascii_only).encode()
    assert json.loads(sent(body)) == {**fields, "model": "target"}
