"""The kind `blocked_patterns`: no character of a match ever passes, however the text comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guardrails.guarding import blocking, cut, guards_of, prompted, through
from torana.errors import GuardrailBlocked, InvalidRequest
from torana.guardrails.filters import Chain
from torana.guardrails.linear import Expression
from torana.guardrails.registry import installed

WORDS = ("abba", "cab")
PATTERNS = (r"b[0-9]{2,4}\b", r"^c", r"a a$", r"\bca{1,3}b\b")
SPAN = 6
BOUNDED = Expression("|".join([*WORDS, *(f"(?:{each})" for each in PATTERNS)]))
TEXTS = st.text("abc 019", max_size=60) | st.text(max_size=40)


def answer_filter(**options: Any) -> Chain:
    passes = guards_of(blocking("answer", **options)).filter()
    assert passes is not None
    return passes


@given(cut(TEXTS))
def test_a_stream_is_judged_as_the_whole_is_and_nothing_of_a_match_passes(pieces):
    text = "".join(pieces)
    match = BOUNDED.search(text)
    passes = answer_filter(words=WORDS, patterns=PATTERNS, span=SPAN, ignore_case=False)
    passed = ""
    try:
        for piece in pieces:
            passed += passes.feed(piece)
        passed += passes.end()
    except GuardrailBlocked:
        assert match is not None
        assert text.startswith(passed)
        assert len(passed) <= match.start()
    else:
        assert match is None
        assert passed == text


@given(cut(st.text("xyz", max_size=300)))
def test_what_passes_lags_behind_by_no_more_than_a_match(pieces):
    passes = answer_filter(patterns=["q{1,9}"], span=9)
    fed = passed = 0
    for piece in pieces:
        fed += len(piece)
        passed += len(passes.feed(piece))
        assert passed >= fed - 9
    assert passed + len(passes.end()) == fed


def test_words_alone_hold_back_no_more_than_the_longest_of_them():
    passes = answer_filter(words=["four", "eightlet"], span=200)
    assert passes.feed("x" * 100) == "x" * 92


def test_ten_thousand_deltas_leave_nothing_behind():
    passes = answer_filter(patterns=["never[0-9]{3}"])
    assert through(passes, ["ab "] * 10_000) == "ab " * 10_000


@pytest.mark.parametrize(
    ("options", "text", "blocked"),
    [
        ({"words": ["Secret"]}, "a SECRET b", True),
        ({"words": ["Secret"], "ignore_case": False}, "a SECRET b", False),
        ({"words": ["a.b"]}, "axb", False),
        ({"words": ["a.b"]}, "xa.bx", True),
        ({"words": ["GRÜN"]}, "grün", True),
        ({"patterns": [r"\bclass\b"]}, "classes", False),
        ({"patterns": [r"\bclass\b"]}, "a class", True),
        ({"patterns": ["(?-i:X)y"]}, "xy", False),
        ({"patterns": ["a", "b$"]}, "cb", True),
        ({"patterns": ["secret"]}, "\ud800 secret", True),
    ],
)
def test_prompts_and_answers_are_judged_alike(options, text, blocked):
    guards = guards_of(blocking(**options))
    chain = guards.filter()
    assert chain is not None
    if not blocked:
        assert prompted(guards, text) == [text]
        assert chain.whole(text) == text
        assert guards.outcomes == {"no-secrets": "passed"}
        return
    for judge in (lambda: prompted(guards, "x", text), lambda: chain.whole(text)):
        with pytest.raises(GuardrailBlocked) as caught:
            judge()
        assert "'no-secrets'" in caught.value.public_message
        assert text not in caught.value.public_message
        assert caught.value.should_retry is False
    assert guards.outcomes == {"no-secrets": "blocked"}


def test_where_decides_what_is_judged():
    only_prompts = guards_of(blocking("prompt", words=["x"]))
    assert only_prompts.filter() is None
    only_answers = guards_of(blocking("answer", words=["x"]))
    assert prompted(only_answers, "x") == ["x"]
    assert only_answers.filter() is not None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "must name something"),
        ({"words": [" "]}, "more than spaces"),
        ({"words": [""]}, "1 to 1000 characters"),
        ({"words": ["x"], "span": 0}, "'span' is between"),
        ({"words": ["x"] * 1001}, "at most 1000"),
        ({"patterns": ["("]}, "patterns[0] can't be used"),
        ({"patterns": ["ok", "(?=x)"]}, "patterns[1] can't be used"),
        ({"patterns": ["\ud800"]}, "patterns[0] can't be used"),
        ({"patterns": ["(?:.{1,900}x){1,1}y{1,900}"]}, "too large"),
        ({"patterns": ["a*"]}, "matches empty texts"),
        ({"patterns": [r"\b"]}, "matches empty texts"),
        ({"words": "x"}, "words"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(InvalidRequest) as caught:
        installed().build("blocked_patterns", "g", options)
    assert told in caught.value.public_message
    assert (caught.value.param or "").startswith("options")
