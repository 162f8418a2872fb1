"""Expressions of RE2: places are characters, anchors see what stands around, and threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from torana.guardrails.linear import Expression, escape


def test_places_are_characters_whatever_they_take_in_bytes():
    found = Expression("b+é", ignore_case=True).search("äöü😀xBBÉ z")
    assert found is not None
    assert (found.start(), found.end(), found.group()) == (5, 8, "BBÉ")
    assert [match.start() for match in Expression("x").find_all("ä😀xx\ud800x")] == [2, 3, 5]


@pytest.mark.parametrize(
    ("pattern", "text", "start", "end", "found"),
    [
        (r"\bfoo\b", "foobar", 0, 3, False),
        (r"\bfoo\b", "foo bar", 0, 3, True),
        ("foo$", "foobar", 0, 3, False),
        ("^b", "ab", 1, 2, False),
        (r"\bb", "ab", 1, 2, False),
        (r"\bb", " b", 1, 2, True),
        ("ab", "abc", 0, 1, False),
    ],
)
def test_anchors_see_what_stands_around_a_span(pattern, text, start, end, found):
    assert (Expression(pattern).search(text, start, end) is not None) is found


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "(a{1000}){1000}", "\ud800"])
def test_what_is_no_expression_is_refused(pattern):
    with pytest.raises(ValueError, match=r"\w"):
        Expression(pattern)


def test_what_is_too_large_is_refused():
    Expression(".{0,100}", largest=2_000)
    with pytest.raises(ValueError, match="too large"):
        Expression(".{0,1000}", largest=2_000)


def test_a_text_can_be_sought_as_it_is():
    text = "a.b*(c)[é]\\😀"
    assert Expression(escape(text)).search(f"x{text}x") is not None
    assert Expression(escape("a.b")).search("axb") is None


def test_an_expression_that_makes_others_go_back_and_forth_ends():
    assert Expression("(x+x+)+y").search("x" * 100_000) is None


def test_threads_share_an_expression():
    shared = Expression(r"[a-zé]+([0-9]+)")

    def look(number: int) -> list[str]:
        text = f"é{number} " * 200
        return [match.group(1) for match in shared.find_all(text)]

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(look, range(64))):
            assert found == [str(number)] * 200
