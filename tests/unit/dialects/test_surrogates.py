"""Half characters in JSON are replaced, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.surrogates import without_halves


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00"', rb'"\ufffd"'),
        (rb'"a\uD83Db\ude00c"', rb'"a\ufffdb\ufffdc"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\u0041"', rb'"\ufffd\u0041"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        # Whole characters, and what only looks like an escape.
        (rb'"\ud83d\ude00"', None),
        (rb'"\\ud83d"', None),
        (rb'"\u00e9"', None),
        (b'"plain"', None),
        (b"", None),
        (b"\\", None),
        (rb"\ud8", None),
    ],
)
def test_only_half_characters_are_replaced(data, mended):
    assert without_halves(data) == mended


UNITS = st.sampled_from(
    [r"\ud83d", r"\ude00", r"\uD800", r"\uDFFF", r"\\", r"\n", "a", "é", r"\u0041"]
)


@given(st.lists(UNITS, max_size=8))
def test_what_was_mended_is_unicode_of_the_same_length_and_says_the_same(units):
    text = '"' + "".join(units) + '"'
    mended = without_halves(text.encode())
    told: str = json.loads(text)
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in told)
    if mended is None:
        assert told == expected
    else:
        assert json.loads(mended) == expected
        assert len(mended) == len(text.encode())
        assert without_halves(mended) is None
