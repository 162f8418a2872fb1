"""How much is tried: little in `make test`, as much as ten minutes hold in `make fuzz`."""

from __future__ import annotations

from typing import TypeVar

Choice = TypeVar("Choice")


class Length:
    """The form of this session; `conftest.py` sets it before any test is imported."""

    is_long: bool = False


def choose(short: Choice, long: Choice) -> Choice:
    """The one of two that fits the form."""
    return long if Length.is_long else short
