"""Names of what was lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.losses import MAX_NAME, MAX_NAMES, Losses


def test_each_name_stands_once_in_the_order_of_the_losses():
    losses = Losses()
    assert [losses.add(name) for name in ("b", "a", "b")] == [True, True, False]
    assert losses.names == ("b", "a")


def test_more_names_than_a_header_holds_are_told_by_an_ellipsis():
    losses = Losses()
    noted = [losses.add(f"field_{n}") for n in range(MAX_NAMES + 9)]
    assert sum(noted) == len(losses.names) == MAX_NAMES + 1
    assert losses.names[-1] == "..."
    assert not losses.add("one_more")


def test_a_name_is_noted_if_there_is_something_to_lose():
    losses = Losses()
    losses.add_if("seed", lost=False)
    losses.add_if("stop", ["x"])
    assert losses.names == ("stop",)


def test_the_rest_of_an_object_is_what_is_neither_known_nor_null():
    losses = Losses()
    losses.rest({"type": "text", "odd": 0, "none": None}, frozenset({"type", "text"}), "tools[]")
    assert losses.names == ("tools[].odd",)


@given(st.lists(st.text(max_size=2 * MAX_NAME), max_size=2 * MAX_NAMES))
def test_any_names_fit_into_a_header(names):
    losses = Losses()
    for name in names:
        losses.add(name)
    for name in losses.names:
        assert len(name) <= MAX_NAME
        assert all("!" <= character <= "~" and character != "," for character in name)
    assert len(losses.names) == len(set(losses.names)) <= MAX_NAMES + 1
