"""Placeholders such as `[EMAIL_1]`: their names, and how they become the values again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torana.guardrails.base import TextFilter
from torana.guardrails.values import Found, ValueKind

_PLACEHOLDER = re.compile(r"\[(?:EMAIL|PHONE|CARD|SECRET)_[0-9]+\]")


class Placeholders:
    """Gives each distinct value of a call one placeholder, in the order in which values occur.

    A history that is sent again gets the same placeholders again, so that a provider's prompt cache
    goes on working.

    Args:
        taken: placeholders never to give.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._names: dict[tuple[ValueKind, str], str] = {}
        self._counts: dict[ValueKind, int] = {}

    def avoid(self, texts: Iterable[str]) -> None:
        """Never give a placeholder that stands in these texts already."""
        for text in texts:
            if "_" in text:
                self._taken.update(_PLACEHOLDER.findall(text))

    def replace(self, text: str, found: list[Found]) -> str:
        """A text with placeholders in the place of the values found in it."""
        pieces: list[str] = []
        past = 0
        for value in found:
            pieces += [
                text[past : value.start],
                self._name(value.kind, text[value.start : value.end]),
            ]
            past = value.end
        return "".join([*pieces, text[past:]])

    def values(self) -> dict[str, str]:
        """The value of each placeholder."""
        return {name: value for (_, value), name in self._names.items()}

    def begin_others(self) -> Placeholders:
        """Placeholders for other values, which share no name with these."""
        return Placeholders(self._taken.union(self._names.values()))

    def _name(self, kind: ValueKind, value: str) -> str:
        name = self._names.get((kind, value))
        while name is None or name in self._taken:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"[{kind.upper()}_{self._counts[kind]}]"
        self._names[kind, value] = name
        return name


class RestoringFilter(TextFilter):
    """Puts values back; holds back only what may be the beginning of a placeholder.

    Args:
        values: of each placeholder.
        beginnings: of all placeholders: `beginnings_of`.
    """

    def __init__(self, values: Mapping[str, str], beginnings: frozenset[str]) -> None:
        self._values = values
        self._beginnings = beginnings
        self._held = ""

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        seen = self._held + text
        bracket = seen.rfind("[")
        held = bracket >= 0 and seen[bracket:] in self._beginnings
        self._held = seen[bracket:] if held else ""
        return self._restore(seen[:bracket] if held else seen)

    def end(self) -> str:
        """See `TextFilter`."""
        rest, self._held = self._held, ""
        return rest

    def _restore(self, text: str) -> str:
        if "]" not in text:
            return text
        return _PLACEHOLDER.sub(lambda found: self._values.get(found[0], found[0]), text)


def beginnings_of(placeholders: Iterable[str]) -> frozenset[str]:
    """All that a placeholder may have begun with when it is not whole yet."""
    return frozenset(name[:size] for name in placeholders for size in range(1, len(name)))
