"""Strings inside JSON text: read through their escapes, and written back as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guardrails.guarding import blocking, cut, guards_of, masking, prompted, through
from torana.errors import GuardrailBlocked
from torana.guardrails.filters import Chain
from torana.guardrails.json_strings import JsonStringsFilter, rewrite_strings
from torana.guardrails.replies import arguments_filter

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["\ud800", "\U0001f600", '"', "\\", "\\u", "[", "jane"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
WRITTEN = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent),
    VALUES,
    st.booleans(),
    st.none() | st.just(1),
)


@given(cut(WRITTEN))
def test_json_that_nothing_changes_means_the_same(pieces):
    said = through(JsonStringsFilter(lambda: Chain(())), pieces)
    assert json.loads(said) == json.loads("".join(pieces))


@given(WRITTEN)
def test_json_that_nothing_rewrites_stays_to_the_letter(text):
    assert rewrite_strings(text, lambda each: each) == text


@given(WRITTEN)
def test_strings_are_rewritten_where_they_stand(text):
    seen = []

    def rewrite(each):
        seen.append(each)
        return f'{each}"\\\n'

    before, after = json.loads(text), json.loads(rewrite_strings(text, rewrite))
    assert after == longer(before)


def longer(value: Any) -> Any:
    if isinstance(value, str):
        return f'{value}"\\\n'
    if isinstance(value, list):
        return [longer(each) for each in value]
    if isinstance(value, dict):
        return {longer(name): longer(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize("text", ["jane", '{"a": ', "{'a': 'b'}", "[" * 100_000])
def test_what_is_no_json_is_one_text(text):
    assert rewrite_strings(text, lambda each: f"<{each}>") == f"<{text}>"


@given(st.data())
def test_values_come_back_as_json_whatever_they_hold(data):
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"
    guards = guards_of(masking())
    masked = prompted(guards, f"{key} o'neil@example.org \"")
    written = json.dumps({"text": masked[0], "[SECRET_1]": [masked[0]]})
    restored = through(arguments_filter(guards), data.draw(cut(st.just(written))))
    assert json.loads(restored) == {
        "text": f"{key} o'neil@example.org \"",
        key: [f"{key} o'neil@example.org \""],
    }


@given(st.data())
def test_escapes_do_not_hide_a_match(data):
    written = data.draw(cut(st.just('{"a": "x \\u0073ecr\\u0065t", "b": "\\ud83d\\ude00"}')))
    for word in ("secret", "\U0001f600"):
        guards = guards_of(blocking(words=[word]))
        with pytest.raises(GuardrailBlocked):
            through(arguments_filter(guards), written)


def test_a_match_is_not_made_of_two_strings():
    guards = guards_of(blocking(words=["secret"]))
    assert through(arguments_filter(guards), ['["sec", "ret"]']) == '["sec", "ret"]'


@pytest.mark.parametrize(
    "text", ['{"a": "b', '{"a": "b\\', '{"a": "b\\u00', '{"a": "\\ud83d', '"\\q"']
)
def test_arguments_that_were_cut_off_or_are_wrong_are_passed_on(text):
    said = through(JsonStringsFilter(lambda: Chain(())), list(text))
    assert said in {text, text.replace("\\q", "q")}
