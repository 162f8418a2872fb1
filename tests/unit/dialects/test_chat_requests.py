"""OpenAI's chat requests: what is read, what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.openai_chat.requests import decode_request
from torana.dialects.wire import WireRequest
from torana.errors import InvalidJson, InvalidRequest

LARGEST_COUNT = 2**63 - 1
"""What a column of the ledger holds."""


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [], **fields}).encode()


def decode(**fields: object) -> WireRequest:
    return decode_request(body(**fields))


def test_a_plain_request_is_read():
    text = b'{"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}'
    request = decode_request(text)
    assert request.model == "gpt-5"
    assert (request.stream, request.include_usage) == (False, False)
    assert (request.max_output, request.choices, request.size) == (None, 1, len(text))
    assert list(request.fields) == ["model", "messages"]


@pytest.mark.parametrize(
    ("fields", "stream", "include_usage"),
    [
        ({"stream": False}, False, False),
        ({"stream": None}, False, False),
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": None}, True, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": False}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, True, False),
        ({"stream": False, "stream_options": None}, False, False),
    ],
)
def test_streams_and_their_options_are_read(fields, stream, include_usage):
    request = decode(**fields)
    assert (request.stream, request.include_usage) == (stream, include_usage)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 5}, 7),
        ({"max_tokens": 7, "max_completion_tokens": None}, 7),
    ],
)
def test_the_larger_limit_on_output_counts(fields, limit):
    assert decode(**fields).max_output == limit


@pytest.mark.parametrize(("n", "choices"), [(None, 1), (1, 1), (2, 2), (128, 128)])
def test_the_number_of_choices_is_read(n, choices):
    assert decode(n=n).choices == choices


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b'{"model": "m"',
        b'{"model": "m",}',
        b"{'model': 'm'}",
        b'{"model": "m", "messages": []} {}',
        b'{"model": "m", "messages": [1,]}',
        b'{"model": "m", "messages": [], "n": NaN}',
        b'\xef\xbb\xbf{"model": "m", "messages": []}',
        b'{"\xff": 1, "model": "m", "messages": []}',
        '{"model": "m", "messages": []}'.encode("utf-16"),
        b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidJson) as caught:
        decode_request(text)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": ["m"]}, "model"),
        ({"model": "m\n"}, "model"),
        ({"model": "m\x00"}, "model"),
        ({"model": "m\u202e"}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"stream_options": {"include_usage": True}, "stream": False}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 129}, "n"),
        ({"n": 10**30}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -5}, "max_completion_tokens"),
        ({"max_completion_tokens": []}, "max_completion_tokens"),
        # No model writes so much, and no balance can hold its bound.
        ({"max_tokens": LARGEST_COUNT + 1}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": 10**18}, "max_completion_tokens"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_field_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b'{"messages": []}', "model"),
        (b'{"model": "m"}', "messages"),
        (b"{}", "model"),
    ],
)
def test_a_missing_field_is_named(text, param):
    with pytest.raises(InvalidRequest, match=f"Missing required parameter: '{param}'") as caught:
        decode_request(text)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "text",
    [
        b'{"model": "\xff", "messages": []}',
        b'{"model": "m", "messages": [], "n": "\xff"}',
        b'{"model": "m", "messages": [], "stream": true, "stream_options": {"\xff": 1}}',
    ],
)
def test_bytes_that_are_not_utf_8_are_the_callers_fault(text):
    with pytest.raises(InvalidRequest):
        decode_request(text)


def test_a_model_with_half_a_character_in_its_name_is_refused():
    with pytest.raises(InvalidRequest):
        decode_request(b'{"model": "\\ud800", "messages": []}')


def test_a_refusal_does_not_repeat_a_long_value():
    with pytest.raises(InvalidRequest) as caught:
        decode(model="x" * 100_000)
    assert len(caught.value.public_message) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "x",
    ]
)


def request_or_refusal(text: bytes) -> WireRequest | InvalidRequest:
    try:
        return decode_request(text)
    except InvalidRequest as refusal:
        return refusal


@given(st.dictionaries(NAMES, JSON))
def test_every_json_object_is_a_request_or_is_refused_on_purpose(fields):
    result = request_or_refusal(json.dumps(fields).encode())
    if isinstance(result, WireRequest):
        assert set(result.fields) == set(fields)
        assert 1 <= result.choices <= 128
    else:
        assert result.status == 400


@given(st.binary(max_size=60))
def test_every_body_is_a_request_or_is_refused_on_purpose(text):
    request_or_refusal(text)
    request_or_refusal(b'{"model":"m","messages":[],"n":' + text + b"}")
    request_or_refusal(b'{"messages":[],"model":' + text + b"}")
