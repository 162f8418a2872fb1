"""Values in texts that are nobody else's business: where they are, and of which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from torana.guardrails.cards import find_cards
from torana.guardrails.credentials import find_credentials
from torana.guardrails.linear import Expression
from torana.guardrails.phones import find_phones

ValueKind = Literal["email", "phone", "card", "secret"]
KINDS: tuple[ValueKind, ...] = ("email", "phone", "card", "secret")

_LETTER = r"0-9A-Za-z\x{C0}-\x{24F}"
"""With the letters of European languages; all of Unicode's would make a large, slow expression."""
_EMAIL = Expression(
    rf"[{_LETTER}_](?:[{_LETTER}._%+'-]*[{_LETTER}_+-])?"
    rf"@(?:[{_LETTER}](?:[{_LETTER}-]*[{_LETTER}])?\.)+(?:xn--[0-9A-Za-z-]+|[A-Za-z]{{2,24}})"
)
_FILES = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "mjs", "ts", "json"))
"""`icon@2x.png` is no address."""


class Found(msgspec.Struct, frozen=True):
    """A value in a text: its first character, and the one after its last."""

    start: int
    end: int
    kind: ValueKind


def find_values(text: str, kinds: Iterable[ValueKind]) -> list[Found]:
    """The values of a text from left to right; where some overlap they are one."""
    found = [
        Found(start, end, kind)
        for kind in KINDS
        if kind in kinds
        for start, end in _FINDERS[kind](text)
    ]
    found.sort(key=lambda value: (value.start, -value.end))
    joined: list[Found] = []
    for value in found:
        if joined and value.start < joined[-1].end:
            first = joined.pop()
            joined.append(Found(first.start, max(first.end, value.end), first.kind))
        else:
            joined.append(value)
    return joined


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" not in text:
        return
    for match in _EMAIL.find_all(text):
        if match.group().rpartition(".")[2].lower() not in _FILES:
            yield match.start(), match.end()


_FINDERS: dict[ValueKind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _find_emails,
    "phone": find_phones,
    "card": find_cards,
    "secret": find_credentials,
}
