"""What is different, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from torana.admin.apply.difference import Difference, compare, words
from torana.admin.apply.schema import WantedModel
from torana.routing.routes import CacheTerms, Deadlines, RouteTarget, When

FIRST = RouteTarget(provider="first", model="m")
SECOND = RouteTarget(provider="second", model="m", priority=2, when=When(tools=True))
MODEL = WantedModel(name="a", targets=(FIRST, SECOND))


def told(before: object, after: object) -> list[str]:
    return [f"{each.what} {each.before} -> {each.after}" for each in compare(before, after)]


def changed(**fields: object) -> WantedModel:
    return msgspec.structs.replace(MODEL, **fields)


def test_what_is_the_same_has_no_differences():
    assert compare(MODEL, changed()) == ()
    assert compare(None, None) == ()


@pytest.mark.parametrize(
    ("after", "differences"),
    [
        (changed(sticky=True), ["sticky false -> true"]),
        (changed(attempts=3), ["attempts none -> 3"]),
        (changed(deadlines=Deadlines(idle=2.5)), ["deadlines.idle none -> 2.5"]),
        (
            changed(cache=CacheTerms(seconds=5, scope="instance")),
            ["cache none -> seconds 5, scope instance"],
        ),
        (changed(targets=(FIRST,)), ["targets[1] second/m (priority 2, when tools true) -> none"]),
        (
            changed(targets=(FIRST, SECOND, FIRST)),
            ["targets[2] none -> first/m"],
        ),
        (
            changed(
                strategy="weighted",
                targets=(msgspec.structs.replace(FIRST, weight=3, region="eu"), SECOND),
            ),
            [
                "targets[0].weight 1 -> 3",
                "targets[0].region none -> eu",
                "strategy priority -> weighted",
            ],
        ),
        (
            changed(
                targets=(FIRST, msgspec.structs.replace(SECOND, when=When(dialects=("chat",))))
            ),
            ["targets[1].when.dialects none -> chat", "targets[1].when.tools true -> none"],
        ),
    ],
)
def test_each_value_that_changes_is_told_by_its_path(after, differences):
    assert told(MODEL, after) == differences


def test_lists_of_plain_values_are_told_as_a_whole():
    assert told({"thresholds": (50, 80)}, {"thresholds": ()}) == ["thresholds 50, 80 -> none"]


def test_tables_are_told_by_their_keys():
    assert told({"a": "1", "b": "2"}, {"b": "3", "c": ""}) == [
        "a 1 -> none",
        "b 2 -> 3",
        'c none -> ""',
    ]


def test_lists_of_tables_are_told_by_their_positions():
    tiers = [{"above": 5, "input": "1"}]
    assert told({"tiers": tiers}, {"tiers": [{"above": 5, "input": "2"}, {"above": 9}]}) == [
        "tiers[0].input 1 -> 2",
        "tiers[1] none -> above 9",
    ]
    assert told({"tiers": []}, {"tiers": tiers}) == ["tiers[0] none -> above 5, input 1"]
    assert told({"tiers": tiers}, {"tiers": []}) == ["tiers[0] above 5, input 1 -> none"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (Decimal("5E+1"), "50"),
        (Decimal("0.10"), "0.1"),
        (datetime(2026, 12, 1, tzinfo=UTC), "2026-12-01T00:00:00.000Z"),
        (("a", 5), "a, 5"),
        ((), "none"),
        ("", '""'),
    ],
)
def test_values_are_told_as_people_read_them(value, text):
    assert words(value) == text


def test_a_difference_has_nothing_to_hide_unless_it_says_so():
    assert compare({"a": 1}, {"a": 2}) == (Difference("a", "1", "2"),)
