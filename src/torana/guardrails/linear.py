"""Regular expressions that take linear time, whoever wrote them and whatever they read: RE2.

Python's own `re` goes back and forth, so that one expression of an administrator's and one long
prompt could stop a process for hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import re2  # type: ignore[import-untyped,unused-ignore]

_MEMORY_BYTES = 64 * 1024 * 1024
"""The most that one expression may take with its caches; short of room it only becomes slower."""
_LARGEST_PROGRAM = 50_000
"""Steps of a compiled expression; `.{0,100}` has about a thousand, and so has `\\p{L}`."""


class Match(Protocol):
    """Where an expression was found."""

    def start(self, group: int = 0) -> int:
        """The first character."""
        ...

    def end(self, group: int = 0) -> int:
        """After the last character."""
        ...

    def group(self, group: int = 0) -> str:
        """What was found."""
        ...


class Expression:
    """A compiled expression. Greenlets and threads may share it.

    Args:
        text: in RE2's syntax.
        ignore_case: whether letters match in either case.
        largest: steps that it may have; a character of a text may cost as many in the worst case.

    Raises:
        ValueError: it is not an expression, or too large.
    """

    def __init__(
        self, text: str, *, ignore_case: bool = False, largest: int = _LARGEST_PROGRAM
    ) -> None:
        options = re2.Options()
        options.case_sensitive = not ignore_case
        options.log_errors = False
        options.max_mem = _MEMORY_BYTES
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0]
            told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise ValueError(told) from None
        except UnicodeEncodeError:
            message = "half of a character can't be sought"
            raise ValueError(message) from None

        if self._compiled.programsize > largest:
            message = "too large; repeat less, and do without large classes such as \\p{L}"
            raise ValueError(message)

    def search(self, text: str, start: int = 0, end: int | None = None) -> Match | None:
        """The leftmost match within a span.

        What stands around the span is seen by the anchors: the beginning and the end of a text or
        a word.
        """
        found: Match | None = self._compiled.search(_whole(text), start, end)
        return found

    def find_all(self, text: str) -> Iterator[Match]:
        """All matches that do not overlap, from left to right."""
        found: Iterator[Match] = self._compiled.finditer(_whole(text))
        return found


def escape(text: str) -> str:
    """An expression that finds a text as it is."""
    escaped: str = re2.escape(text)
    return escaped


def _whole(text: str) -> str:
    """The text, with another character in the place of each half of one; RE2 reads UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
