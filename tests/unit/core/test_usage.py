"""Usage: classes that do not overlap."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from torana.core.usage import NO_USAGE, Counted, Usage

USAGE = Usage(
    input_tokens=1,
    cached_tokens=20,
    cache_write_tokens=300,
    output_tokens=4000,
    reasoning_tokens=50000,
)


def test_each_class_counts_in_one_total_and_once():
    assert USAGE.total_input == 321
    assert USAGE.total_output == 54000


def test_a_usage_can_not_change():
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        USAGE.input_tokens = 2  # type: ignore[misc]


def test_no_usage_is_zero_everywhere():
    assert set(msgspec.structs.asdict(NO_USAGE).values()) == {0}


def test_the_words_that_rows_hold_for_how_a_call_was_counted():
    assert [word.value for word in Counted] == ["provider", "tokenizer", "bound"]
