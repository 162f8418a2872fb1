"""Where words begin and end in texts that may be prose, programs or JSON."""

from __future__ import annotations

_LINE_ESCAPES = frozenset(("\\n", "\\r", "\\t"))
"""In JSON that stands in a text as it was written, the last letter of these begins no word."""


def is_inside_word(text: str, start: int) -> bool:
    """Whether a letter or a digit stands right before a place."""
    before = text[start - 1 : start]
    if before == "_":
        return True
    return before.isalnum() and text[max(0, start - 2) : start] not in _LINE_ESCAPES


def goes_on(text: str, end: int) -> bool:
    """Whether a letter or a digit stands right behind a place."""
    after = text[end : end + 1]
    return after.isalnum() or after == "_"
