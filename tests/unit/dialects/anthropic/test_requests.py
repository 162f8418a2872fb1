"""Requests of Anthropic's messages: what is read, what is refused, what is sent on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.dialects.anthropic import ANTHROPIC
from torana.errors import InvalidJson, InvalidRequest


def body(**fields: Any) -> bytes:
    whole = {"model": "claude", "max_tokens": 9, "messages": [], **fields}
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode()


def test_what_torana_must_know_is_read():
    request = ANTHROPIC.decode_request(body(stream=True))
    assert (request.model, request.stream, request.max_output) == ("claude", True, 9)
    assert (request.choices, request.include_usage) == (1, True)
    assert ANTHROPIC.decode_request(body()).stream is False


def test_a_limit_of_zero_is_legal_because_it_fills_the_cache():
    assert ANTHROPIC.decode_request(body(max_tokens=0)).max_output == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ...}, "model"),
        ({"max_tokens": ...}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"messages": ...}, "messages"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_field_that_is_missing_or_malformed_is_named(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.decode_request(body(**fields))
    assert caught.value.param == param


def test_a_count_of_tokens_needs_no_limit():
    assert ANTHROPIC.decode_count(body(max_tokens=...)).max_output is None


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"model":"\xff"}', b"[" * 100_000])
def test_what_is_no_object_is_refused(broken):
    with pytest.raises(InvalidJson):
        ANTHROPIC.decode_request(broken)


def test_a_field_that_occurs_twice_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.decode_request(b'{"model":"a","max_tokens":1,"messages":[],"model":"b"}')
    assert caught.value.param == "model"


def test_everything_but_the_model_is_sent_as_it_came():
    sent = (
        b'{"model":"a","max_tokens":9,"messages":[{"role":"user","content":"\\u00e9"}],'
        b'"new_field":{"n":123456789012345678901234567890,"x":1.0e3}}'
    )
    request = ANTHROPIC.decode_request(sent)
    written = ANTHROPIC.encode_upstream(request, model="b")
    assert written == sent.replace(b'"model":"a"', b'"model":"b"')
    clamped = ANTHROPIC.encode_upstream(request, model="b", max_output=3, max_output_field="n")
    assert clamped == written.replace(b'"max_tokens":9', b'"max_tokens":3')


@pytest.mark.parametrize(
    ("metadata", "end_user"),
    [
        ({"user_id": "u_1"}, "u_1"),
        ({"user_id": "u" * 500}, "u" * 200),
        ({"user_id": None}, None),
        ({"user_id": "a\nb"}, None),
        ({"user_id": 7}, None),
        ({}, None),
        ([], None),
        (None, None),
        (..., None),
    ],
)
def test_the_end_user_is_the_user_id_of_the_metadata(metadata, end_user):
    labels = ANTHROPIC.labels(ANTHROPIC.decode_request(body(metadata=metadata)))
    assert (labels.end_user, labels.tags) == (end_user, {})


def test_the_dialect_names_itself():
    assert (ANTHROPIC.route, ANTHROPIC.path) == ("anthropic.messages", "/messages")
    assert ANTHROPIC.family == "anthropic"


@pytest.mark.parametrize(
    ("thinking", "limit", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 5_000}, 5_001, None),
        (
            {"type": "enabled", "budget_tokens": 5_000, "display": "omitted"},
            5_000,
            {"type": "enabled", "budget_tokens": 4_999, "display": "omitted"},
        ),
        (
            {"type": "enabled", "budget_tokens": 5_000},
            1_025,
            {"type": "enabled", "budget_tokens": 1_024},
        ),
        ({"type": "enabled", "budget_tokens": 5_000}, 1_024, {"type": "disabled"}),
        ({"type": "adaptive"}, 10, None),
        ({"type": "enabled"}, 10, None),
        ("odd", 10, None),
    ],
)
def test_a_limit_that_was_lowered_leaves_no_budget_of_thinking_above_it(thinking, limit, expected):
    request = ANTHROPIC.decode_request(body(thinking=thinking, max_tokens=9_000))
    sent = json.loads(ANTHROPIC.encode_upstream(request, model="m", max_output=limit))
    assert sent["max_tokens"] == limit
    assert sent["thinking"] == (expected or thinking)
    assert json.loads(ANTHROPIC.encode_upstream(request, model="m"))["thinking"] == thinking
