"""A request without the fields that its server refuses, and what its caller is told of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.wire import decode_fields
from torana.errors import InvalidRequest
from torana.providers.options import COSTLY_TO_DROP, ProviderOptions
from torana.providers.presets import PRESETS
from torana.providers.shaping import Shaper

STRICT = ProviderOptions(
    dropped=("user", "store", "messages[].name", "tools[].function.strict", "a.b"),
    renamed=(("max_completion_tokens", "max_tokens"), ("seed", "random_seed")),
    developer_role="system",
)


def shaped(body: Any, options: ProviderOptions = STRICT) -> Any:
    return json.loads(Shaper(options).shape(json.dumps(body).encode()))


def dropped(body: Any, options: ProviderOptions = STRICT) -> tuple[str, ...]:
    return Shaper(options).dropped(decode_fields(json.dumps(body).encode()))


def test_fields_that_are_refused_are_left_out_and_told():
    body = {"model": "m", "user": "u", "store": False, "temperature": 1}
    assert shaped(body) == {"model": "m", "temperature": 1}
    assert dropped(body) == ("user", "store")


def test_null_is_left_out_and_no_loss():
    assert shaped({"model": "m", "user": None}) == {"model": "m"}
    assert dropped({"model": "m", "user": None}) == ()


def test_fields_inside_of_others_are_left_out_wherever_they_are():
    body = {
        "messages": [{"role": "user", "name": "n", "content": "name"}, {"role": "assistant"}],
        "tools": [{"type": "function", "function": {"name": "f", "strict": True}}],
        "a": {"b": 1, "c": 2},
    }
    assert shaped(body) == {
        "messages": [{"role": "user", "content": "name"}, {"role": "assistant"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "a": {"c": 2},
    }
    assert dropped(body) == ("messages[].name", "tools[].function.strict", "a.b")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "name"},
        {"messages": ["name"]},
        {"messages": {"name": "n"}},
        {"messages": [{"content": "my name"}]},
        {"tools": [{"function": "strict"}], "a": ["b"]},
        {"tools": [{"strict": True}]},
    ],
)
def test_what_has_another_shape_is_left_to_the_server(body):
    assert shaped(body) == body
    assert dropped(body) == ()


def test_a_body_that_needs_nothing_is_the_same_to_the_byte():
    body = b'{ "model" : "m", "temperature": 1.000000000000000000001, "x": "\\u00e9" }'
    assert Shaper(STRICT).shape(body) is body
    assert Shaper(ProviderOptions()).shape(b'{"user": "u"}') == b'{"user": "u"}'


def test_what_is_no_object_is_left_alone():
    for body in (b"", b"--boundary\r\n", b"[1]", b"\x00\xff"):
        assert Shaper(STRICT).shape(body) is body


def test_numbers_and_escapes_survive():
    body = b'{"user":"u","n":12345678901234567890123.10,"t":"\\ud83d\\ude00","h":"\\ud800"}'
    assert Shaper(STRICT).shape(body) == body.replace(b'"user":"u",', b"")


def test_a_body_with_a_field_twice_is_not_guessed_at():
    with pytest.raises(InvalidRequest):
        Shaper(STRICT).shape(b'{"user": 1, "user": 2}')


def test_fields_get_the_names_that_the_server_knows():
    body = {"max_completion_tokens": 7, "seed": 3}
    assert shaped(body) == {"max_tokens": 7, "random_seed": 3}
    assert dropped(body) == ()


@pytest.mark.parametrize(
    ("given_limits", "limit"),
    [
        ({"max_completion_tokens": 7, "max_tokens": 5}, 5),
        ({"max_completion_tokens": 5, "max_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": None}, 7),
        ({"max_completion_tokens": None, "max_tokens": 7}, 7),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 7}, 7),
    ],
)
def test_a_limit_of_output_is_never_lost(given_limits, limit):
    assert shaped(given_limits) == {"max_tokens": limit}


def test_the_developer_speaks_as_whom_the_server_knows():
    body = {
        "messages": [
            {"role": "developer", "content": "developer"},
            {"role": "user", "content": "I am a developer"},
            {"content": "no role"},
        ]
    }
    assert [message.get("role") for message in shaped(body)["messages"]] == ["system", "user", None]
    assert shaped(body)["messages"][0]["content"] == "developer"
    assert shaped({"messages": ["developer"]}) == {"messages": ["developer"]}
    assert dropped(body) == ()


def test_usage_is_not_asked_for_where_it_comes_unasked_and_that_is_no_loss():
    body = {"stream": True, "stream_options": {"include_usage": True}}
    options = ProviderOptions(asks_usage=False)
    assert shaped(body, options) == {"stream": True}
    assert dropped(body, options) == ()
    assert shaped(body, ProviderOptions()) == body


# --- no preset makes a call dearer -------------------------------------------------------------

LIMITS = st.one_of(st.none(), st.integers(0, 10_000))
BODIES = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.just([{"role": "user", "content": "hello"}])},
    optional={
        "max_tokens": LIMITS,
        "max_completion_tokens": LIMITS,
        "n": st.integers(1, 4),
        "seed": st.integers(),
        "user": st.text(max_size=3),
        "store": st.booleans(),
        "metadata": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        "stop": st.text(max_size=3),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "service_tier": st.sampled_from(["auto", "flex"]),
        "logprobs": st.booleans(),
        "web_search_options": st.just({}),
    },
)


@given(st.sampled_from(sorted(PRESETS)), BODIES)
def test_no_preset_makes_a_call_dearer_than_it_was_priced(name, body):
    shaper = Shaper(PRESETS[name].options)
    asked = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    sent = OPENAI_CHAT.decode_request(shaper.shape(json.dumps(body).encode()))
    before, after = OPENAI_CHAT.read_costs(asked), OPENAI_CHAT.read_costs(sent)
    assert after.text_bytes <= before.text_bytes + len("random_")
    assert set(sent.fields) & COSTLY_TO_DROP - {"max_completion_tokens"} >= (
        set(asked.fields) & COSTLY_TO_DROP - {"max_completion_tokens"}
    )
    if asked.max_output is None:
        assert sent.max_output is None
    else:
        assert sent.max_output is not None
        assert sent.max_output <= asked.max_output
    gone = set(asked.fields) - set(sent.fields) - {old for old, _ in PRESETS[name].options.renamed}
    told = shaper.dropped(asked.fields)
    assert {field for field in gone if asked.fields[field] != msgspec.Raw(b"null")} == set(told)
