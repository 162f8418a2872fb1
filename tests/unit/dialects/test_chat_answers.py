"""A provider's JSON answers and errors: usage arithmetic, garbage, and what callers are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.usage import Usage
from torana.dialects.openai_chat.answers import decode_answer
from torana.dialects.openai_chat.streams import encode_error_event
from torana.dialects.openai_errors import UpstreamErrorBody, decode_error, encode_error
from torana.errors import (
    BudgetExceeded,
    InternalError,
    InvalidRequest,
    UpstreamError,
    UpstreamGarbage,
    UpstreamRejected,
)

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}


def answer(**fields: Any) -> bytes:
    return json.dumps(
        {"id": "c", "model": "provider-model", "choices": [CHOICE], **fields}
    ).encode()


def usage_of(**usage: Any) -> Usage | None:
    return decode_answer(answer(usage=usage)).usage


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            Usage(input_tokens=10, output_tokens=5),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None},
            Usage(input_tokens=10, output_tokens=5),
        ),
        # The prompt includes what was cached, the completion includes the reasoning.
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(input_tokens=40, cached_tokens=60, output_tokens=20, reasoning_tokens=30),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 70},
                "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 40},
            },
            Usage(
                input_tokens=20,
                cached_tokens=10,
                input_audio_tokens=70,
                output_tokens=5,
                reasoning_tokens=5,
                output_audio_tokens=40,
            ),
        ),
        (
            # Some of the audio came from the cache: nothing is counted twice.
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 70},
                "completion_tokens_details": {"audio_tokens": 60},
            },
            Usage(cached_tokens=60, input_audio_tokens=40, output_audio_tokens=60),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 15},
            },
            Usage(input_tokens=25, cached_tokens=60, cache_write_tokens=15),
        ),
        # An explicit zero is a zero, an explicit null is none.
        (
            {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(),
        ),
        # All cached, all reasoning.
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 7},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(cached_tokens=7, reasoning_tokens=3),
        ),
        # Details larger than the whole must not make a negative class.
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 9},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            Usage(cached_tokens=9, reasoning_tokens=9),
        ),
    ],
)
def test_the_classes_of_a_usage_do_not_overlap(told, usage):
    assert usage_of(**told) == usage


COUNTS = st.integers(0, 10**6)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_classes_sum_to_what_the_provider_told(fresh, cached, written, visible, reasoning):
    usage = usage_of(
        prompt_tokens=fresh + cached + written,
        completion_tokens=visible + reasoning,
        prompt_tokens_details={"cached_tokens": cached, "cache_write_tokens": written},
        completion_tokens_details={"reasoning_tokens": reasoning},
    )
    assert usage == Usage(
        input_tokens=fresh,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=visible,
        reasoning_tokens=reasoning,
    )


@pytest.mark.parametrize("body", [answer(), answer(usage=None)])
def test_an_answer_without_usage_has_none(body):
    assert decode_answer(body).usage is None


def test_an_answer_is_passed_on_byte_for_byte():
    body = b'{ "choices" : [ ], "x": 1.0, "big": 123456789012345678901, "s": "\\u00e9" }'
    assert decode_answer(body).body == body


def test_the_asked_model_takes_the_place_of_the_providers_and_the_rest_stays():
    body = b'{"model":"/srv/model.gguf","choices":[],"big":123456789012345678901,"s":"\\u00e9"}'
    shown = decode_answer(body, model='as"ked').body
    assert shown == b'{"model":"as\\"ked","choices":[],"big":123456789012345678901,"s":"\\u00e9"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"choices": null}',
        b'{"choices": {}}',
        b'{"choices": [null]}',
        b'{"choices": [1]}',
        b'{"object": "list", "data": []}',
        answer()[:-1],
        answer() + b"}",
        answer(usage=[]),
        answer(usage={"prompt_tokens": -1}),
        answer(usage={"prompt_tokens": 10**13}),
        answer(usage={"prompt_tokens": "12"}),
        answer(usage={"prompt_tokens": 1, "completion_tokens": 10**30}),
        b"[" * 100_000,
        b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
        b'{"choices": [{"finish_reason": "\xff"}]}',
        b'{"choices": [], "\xff": 1}',
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("model", [None, "asked"])
def test_what_is_no_chat_completion_is_garbage(body, model):
    with pytest.raises(UpstreamGarbage) as caught:
        decode_answer(body, model=model)
    assert caught.value.billable
    assert not caught.value.retryable


@pytest.mark.parametrize("error", [{"message": "no"}, "no", {}, 500])
def test_an_error_under_a_success_status_is_an_error(error):
    body = json.dumps({"error": error}).encode()
    for whole in (body, answer(error=error)):
        with pytest.raises(UpstreamError) as caught:
            decode_answer(whole)
        # Nothing was done that could be billed.
        assert not isinstance(caught.value, UpstreamGarbage)
        assert not caught.value.billable
        # Its words may name the provider's accounts.
        assert "no" not in caught.value.public_message.split()


def test_an_error_that_is_null_is_none():
    assert decode_answer(answer(error=None)).usage is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("Bad.", param="n", hint="Mend it."),
        InternalError("Broken."),
        BudgetExceeded("Spent."),
        UpstreamRejected(
            "No.", status=418, kind="teapot", provider_code="short_and_stout", param="x"
        ),
        UpstreamRejected("No.", status=400),
    ],
)
def test_an_error_object_has_all_four_keys_as_strings_or_null(error):
    body = encode_error(error)
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["type"], str)
    assert isinstance(body["error"]["param"], (str, type(None)))
    assert isinstance(body["error"]["code"], (str, type(None)))


def test_an_error_object_carries_the_hint_and_the_names():
    error = InvalidRequest("Bad.", param="n", hint="Mend it.")
    assert encode_error(error)["error"] == {
        "message": "Bad. Mend it.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_request",
    }


def test_an_error_event_is_one_frame_with_the_same_object():
    error = InternalError('Two\nlines and a "quote".')
    event = encode_error_event(error)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:]) == encode_error(error)


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (
            b'{"error":{"message":"m","type":"t","param":"p","code":"c","more":1}}',
            UpstreamErrorBody("m", "t", "p", "c"),
        ),
        (b'{"error":{"message":"m","type":null,"param":null,"code":null}}', UpstreamErrorBody("m")),
        (b'{"error":{"message":"m","code":429}}', UpstreamErrorBody("m", code="429")),
        (b'{"error":{"message":"m","code":true}}', UpstreamErrorBody("m")),
        (b'{"error":{"message":["m"],"code":{"a":1}}}', UpstreamErrorBody()),
        (b'{"error":{"code":4.5}}', UpstreamErrorBody()),
        (b'{"error":"plain words"}', UpstreamErrorBody("plain words")),
        (b'{"error":null}', UpstreamErrorBody()),
        (b'{"error":[]}', UpstreamErrorBody()),
        (b'{"message":"not where it belongs"}', UpstreamErrorBody()),
        (b"{}", UpstreamErrorBody()),
        (b"[]", UpstreamErrorBody()),
        (b"null", UpstreamErrorBody()),
        (b"", UpstreamErrorBody()),
        (b"<html>502</html>", UpstreamErrorBody()),
        (b'{"error":{"message":"cut', UpstreamErrorBody()),
        (b'{"error":{"message":"\\ud800"}}', UpstreamErrorBody()),
        (b'{"error":{"code":1' + b"0" * 5000 + b"}}", UpstreamErrorBody()),
        (b"[" * 100_000, UpstreamErrorBody()),
        (b'{"error":{"message":"\xff"}}', UpstreamErrorBody()),
        (b'"\xff"', UpstreamErrorBody()),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_of_a_providers_error_whatever_can_be_read_is_read(body, parsed):
    assert decode_error(body) == parsed


@given(st.binary(max_size=80))
def test_no_error_body_makes_reading_fail(body):
    assert isinstance(decode_error(body), UpstreamErrorBody)
    assert isinstance(decode_error(b'{"error":{"message":' + body + b"}}"), UpstreamErrorBody)


def test_an_answer_with_half_a_character_passes_as_it_is():
    body = rb'{"choices":[{"message":{"content":"a\ud83d"},"finish_reason":"stop"}]}'
    assert decode_answer(body).body == body
