"""Payment card numbers in texts: 13 to 19 digits in the groups that cards have, which add up."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torana.guardrails.borders import goes_on, is_inside_word
from torana.guardrails.linear import Expression

_CANDIDATE = Expression(
    r"(?:\d{13,19}"
    r"|\d{4}(?: \d{4}){2,3}(?: \d{1,4})?|\d{4}(?:-\d{4}){2,3}(?:-\d{1,4})?"
    r"|\d{4} \d{6} \d{4,5}|\d{4}-\d{6}-\d{4,5})\b"
)
_GROUP = re.compile(r"\d+", re.ASCII)
_LENGTHS = range(13, 20)
_FEWEST_GROUPS = 3
_FIRST_DIGITS = "23456"
"""Of the payment networks; other numbers that add up belong to other things."""
_FIFTEEN = ("34", "37")
"""How cards of 15 digits begin; others are numbers of telephones' hardware (IMEI)."""
_JOINS = frozenset("-.,/:+")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""The sum of the digits of twice a digit (ISO/IEC 7812-1, annex B)."""


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the card numbers of a text."""
    for match in _CANDIDATE.find_all(text):
        start, end = match.start(), match.end()
        span = _card_in(text[start:end])
        if span is not None and _stands_alone(text, start + span[0], start + span[1]):
            yield start + span[0], start + span[1]


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    values = [ord(digit) - ord("0") for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _card_in(candidate: str) -> tuple[int, int] | None:
    """The longest row of groups that is a card; a year or an amount may stand beside it."""
    groups = [(found.start(), found[0]) for found in _GROUP.finditer(candidate)]
    for size in range(len(groups), min(len(groups), _FEWEST_GROUPS) - 1, -1):
        for first in range(len(groups) - size + 1):
            row = groups[first : first + size]
            if _is_card("".join([digits for _, digits in row])):
                start, last = row[-1]
                return row[0][0], start + len(last)
    return None


def _is_card(digits: str) -> bool:
    if len(digits) not in _LENGTHS or digits[0] not in _FIRST_DIGITS:
        return False
    if len(digits) == 15 and not digits.startswith(_FIFTEEN):
        return False
    return passes_luhn(digits)


def _stands_alone(text: str, start: int, end: int) -> bool:
    if is_inside_word(text, start) or goes_on(text, end):
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    if before in _JOINS and text[max(0, start - 2) : start - 1].isalnum():
        return False
    return not (after in _JOINS and text[end + 1 : end + 2].isalnum())
