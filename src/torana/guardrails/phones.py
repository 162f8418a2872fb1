"""Telephone numbers in texts, told from dates, prices, addresses and other numbers by their form.

Three forms: with a country code (`+49 30 123456`, `0044 20 ...`), as in North America
(`415-555-2671`), and national ones that begin with a zero and are written in groups
(`020 7946 0958`). A national number without any of these looks like every other number, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from torana.guardrails.borders import goes_on, is_inside_word
from torana.guardrails.linear import Expression

_GROUPS = r"(?:[ ./-]?\(\d{1,5}\)[ ./-]?\d{1,14}|[ ./-]\d{1,14})"
_INTERNATIONAL = Expression(
    rf"\+[1-9](?:\d{{7,14}}|\d{{0,13}}{_GROUPS}{{1,8}})|00[1-9]\d{{0,2}}{_GROUPS}{{1,8}}"
)
_AMERICAN = Expression(r"(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}\b")
_SPACED = re.compile(r"[\d ]+", re.ASCII)
_NATIONAL = Expression(
    r"(?:\(0[1-9]\d{0,4}\)|0[1-9]\d{0,4})(?: \d{2,8}){1,5}"
    r"|0[1-9]\d{1,4}[/-]\d{3,8}(?: \d{2,8}){0,3}"
    r"|0[1-9]\d{0,4}(?:-\d{2,8}){1,5}"
    r"|0[1-9](?:\.\d{2}){4}"
)
_DIGIT = re.compile(r"\d", re.ASCII)
_LAST_GROUP = re.compile(r"[ ./-][\d()]+$", re.ASCII)
_DECIMAL = re.compile(r"\+\d+\.\d+", re.ASCII)
_OPTIONAL_ZERO = "(0)"
_NOT_BEFORE = frozenset(".+/#@-$\u20ac\u00a3")
_NOT_AFTER = frozenset("%$\u20ac\u00a3\u00b0")
_GOES_ON = re.compile(r"[.\-/:]\d|,\d{1,2}(?!\d)", re.ASCII)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the telephone numbers of a text."""
    if "+" in text or "00" in text:
        yield from _found(text, _INTERNATIONAL, _is_international)
    for start, end in _found(text, _AMERICAN, bool):
        # 200 300 4000 in the middle of other numbers is a row of a table.
        if not (_SPACED.fullmatch(text[start:end]) and _is_in_row(text, start, end)):
            yield start, end
    if "0" in text:
        yield from _found(text, _NATIONAL, _is_national)


def _found(
    text: str, expression: Expression, is_number: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    for match in expression.find_all(text):
        start, end = match.start(), match.end()
        if not _stands_alone(text, start, end):
            continue
        while True:
            number = text[start:end]
            if is_number(number):
                yield start, end
                break
            # Another number may follow the telephone number, with nothing but a space between.
            last = _LAST_GROUP.search(number)
            if last is None or number[last.start()] != " ":
                break
            end = start + last.start()


def _stands_alone(text: str, start: int, end: int) -> bool:
    if is_inside_word(text, start) or text[start - 1 : start] in _NOT_BEFORE:
        return False
    if goes_on(text, end) or text[end : end + 1] in _NOT_AFTER:
        return False
    return _GOES_ON.match(text, end) is None


def _is_in_row(text: str, start: int, end: int) -> bool:
    return (
        text[max(0, start - 2) : start].strip().isdigit() or text[end : end + 2].strip().isdigit()
    )


def _is_international(number: str) -> bool:
    digits = "".join(_DIGIT.findall(number.replace(_OPTIONAL_ZERO, "")))
    if _DECIMAL.fullmatch(number):
        return False
    if number.startswith("00"):
        digits = digits[2:]
    if digits.startswith("1"):
        # North America: an area code and an office code, neither of which begins with 0 or 1.
        return len(digits) == 11 and digits[1] >= "2" and digits[4] >= "2"
    return 8 <= len(digits) <= 15


def _is_national(number: str) -> bool:
    return 9 <= len(_DIGIT.findall(number)) <= 12
