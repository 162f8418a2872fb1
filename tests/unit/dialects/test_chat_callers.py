"""What a chat request says of its caller, what it is told of rates, and what a cut stream showed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.rates import Rate, RateView
from torana.dialects.openai_chat.requests import decode_request, encode_upstream
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.openai_errors import rate_headers
from torana.dialects.openai_labels import end_user_of, metadata_of
from torana.dialects.wire import WireRequest


def request(**fields: Any) -> WireRequest:
    return decode_request(json.dumps({"model": "m", "messages": [], **fields}).encode())


# --- end users and labels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, None),
        ({"user": "alice"}, "alice"),
        ({"safety_identifier": "hash", "user": "alice"}, "hash"),
        ({"safety_identifier": "", "user": "alice"}, "alice"),
        ({"safety_identifier": None, "user": "alice"}, "alice"),
        ({"safety_identifier": 7, "user": ["x"]}, None),
        ({"user": "é😀 a/b=c"}, "é😀 a/b=c"),
        ({"user": "line\nbreak"}, None),
        ({"user": "nul\x00"}, None),
        ({"user": "x" * 500}, "x" * 200),
    ],
)
def test_an_end_user_is_a_short_printable_text(fields, name):
    assert end_user_of(request(**fields)) == name


def test_labels_are_texts_with_short_names():
    fields = {
        "team": "red",
        "n": 3,
        "none": None,
        "nested": {"a": "b"},
        "": "empty",
        "x" * 65: "long name",
        "x" * 64: "y" * 500,
        "bad\nname": "v",
        "bad": "va\x07lue",
    }
    assert metadata_of(request(metadata=fields)) == {"team": "red", "x" * 64: "y" * 200}


@pytest.mark.parametrize("metadata", [None, [], "text", 7, [["a", "b"]]])
def test_what_is_no_mapping_has_no_labels(metadata):
    assert metadata_of(request(metadata=metadata)) == {}
    assert metadata_of(request()) == {}


def test_there_are_at_most_sixteen_labels():
    labels = metadata_of(request(metadata={f"t{number}": "x" for number in range(40)}))
    assert list(labels) == [f"t{number}" for number in range(16)]


@given(st.dictionaries(st.text(max_size=70), st.text(max_size=250) | st.integers(), max_size=20))
def test_whatever_the_labels_are_they_fit_their_columns(metadata):
    labels = metadata_of(request(metadata=metadata))
    assert len(labels) <= 16
    for name, value in labels.items():
        assert 0 < len(name) <= 64
        assert name.isprintable()
        assert len(value) <= 200
        assert value.isprintable()
        assert str(metadata[name]).startswith(value)


# --- what a provider is held to ----------------------------------------------------------------


def upstream(fields: dict[str, Any], **options: Any) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(encode_upstream(request(**fields), model="theirs", **options))
    return sent


def test_without_a_limit_of_ours_the_callers_own_is_sent_as_it_is():
    assert upstream({"max_tokens": 7})["max_tokens"] == 7
    assert set(upstream({})) == {"model", "messages"}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {"max_completion_tokens": 5}),
        ({"max_tokens": 9}, {"max_tokens": 5}),
        ({"max_completion_tokens": 9}, {"max_completion_tokens": 5}),
        (
            {"max_tokens": 9, "max_completion_tokens": 8},
            {"max_tokens": 5, "max_completion_tokens": 5},
        ),
        # A field that says nothing is still the one that the caller has chosen.
        ({"max_tokens": None}, {"max_tokens": 5}),
    ],
)
def test_a_limit_of_ours_takes_the_place_of_the_callers(fields, sent):
    body = upstream(fields, max_output=5, max_output_field="max_completion_tokens")
    limits = {name: value for name, value in body.items() if name.startswith("max_")}
    assert limits == sent


def test_everything_else_stays_when_a_limit_is_put_in():
    body = upstream({"future": [1, {"a": 2}], "temperature": 0.5}, max_output=5)
    assert body == {
        "model": "theirs",
        "messages": [],
        "future": [1, {"a": 2}],
        "temperature": 0.5,
        "max_tokens": 5,
    }


# --- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0ms"),
        (0.0001, "1ms"),
        (0.012, "12ms"),
        (0.9991, "1s"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60.0, "1m0s"),
        (61.25, "1m1.25s"),
        (360.0, "6m0s"),
        (3600.0, "60m0s"),
    ],
)
def test_a_reset_is_a_duration_as_openai_writes_it(seconds, shown):
    headers = rate_headers(RateView(requests=Rate(60, 59, seconds)))
    assert headers["x-ratelimit-reset-requests"] == shown


def test_only_the_rates_that_there_are_have_headers():
    assert rate_headers(RateView()) == {}
    assert rate_headers(RateView(tokens=Rate(1000, 0, 2.0))) == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "2s",
    }
    both = rate_headers(RateView(requests=Rate(1, 2, 3.0), tokens=Rate(4, 5, 6.0)))
    assert len(both) == 6


# --- the visible text of a stream --------------------------------------------------------------


def fold(*chunks: dict[str, Any], keeps_text: bool = True) -> ChatFold:
    made = ChatFold(include_usage=False, keeps_text=keeps_text)
    for chunk in chunks:
        data = json.dumps(chunk).encode()
        made.pass_on(b"data: " + data + b"\n\n", data)
    return made


def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": None}]}


def test_the_visible_text_is_all_that_was_passed_on():
    made = fold(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta(refusal=" no"),
        delta(content=None),
        {"choices": [{"index": 0, "finish_reason": "stop"}]},
    )
    assert made.visible == "Hello no"


def test_all_choices_are_visible():
    assert (
        fold(delta(0, content="a"), delta(1, content="b"), delta(0, content="c")).visible == "abc"
    )


def test_tool_calls_are_visible_as_their_json():
    calls = [{"index": 0, "function": {"name": "f", "arguments": '{"a":'}}]
    visible = fold(delta(content="x", tool_calls=calls)).visible
    assert visible is not None
    assert visible.startswith("x")
    assert json.loads(visible[1:]) == calls


def test_a_delta_that_can_not_be_read_is_visible_as_it_is():
    made = fold({"choices": [{"index": 0, "delta": {"content": 7}}]})
    assert made.visible is not None
    assert "7" in made.visible


def test_nothing_is_kept_unless_it_is_wanted():
    assert fold(delta(content="a"), keeps_text=False).visible is None
    assert fold().visible == ""
