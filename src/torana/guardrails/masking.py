"""The kind `mask`: values in prompts become placeholders, and values again in answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from torana.guardrails.base import CallFacts, GuardedCall, Guardrail, TextFilter
from torana.guardrails.placeholders import Placeholders, RestoringFilter, beginnings_of
from torana.guardrails.values import KINDS, ValueKind, find_values

LONGEST_HELD = 8192
"""Characters of an answer that are held back at most while no boundary comes."""
_OPEN = r"\d()+\-./:=,\s"
"""Next to a space these may belong to a value that goes on behind it."""
_BOUNDARY = re.compile(rf"(?<![{_OPEN}])(?<!bearer)\s+(?=[^{_OPEN}])", re.IGNORECASE)
_FARTHEST = 64
"""Characters that a boundary can be before its last one; longer runs of spaces are none."""
_KEY_BEGIN, _KEY_END, _RULE = "-----BEGIN ", "-----END ", "-----"


class MaskOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is masked.

    Attributes:
        kinds: of values.
        restore: whether placeholders in answers become the values again.
    """

    kinds: tuple[ValueKind, ...] = KINDS
    restore: bool = True

    def __post_init__(self) -> None:
        """Refuse what makes no sense, in words for who typed it."""
        if not self.kinds:
            raise ValueError("'kinds' must name something to mask")


class Mask(Guardrail):
    """Masks e-mail addresses, telephone numbers, payment cards and credentials."""

    Options: ClassVar[type[msgspec.Struct]] = MaskOptions
    passes_unread: ClassVar[bool] = True

    def begin(self, facts: CallFacts) -> GuardedCall:
        """See `Guardrail`."""
        del facts
        return _MaskedCall(self.options)


class _MaskedCall(GuardedCall):
    def __init__(self, options: MaskOptions) -> None:
        self._options = options
        self._placeholders = Placeholders()
        self._others: Placeholders | None = None
        self._values: dict[str, str] = {}
        self._beginnings: frozenset[str] = frozenset()

    def prompt(self, texts: Sequence[str]) -> Sequence[str]:
        if self._options.restore:
            # Without it the caller's history has placeholders, and they mean what they meant.
            self._placeholders.avoid(texts)
        masked = [
            self._placeholders.replace(text, find_values(text, self._options.kinds))
            for text in texts
        ]
        self._values = self._placeholders.values()
        self._beginnings = beginnings_of(self._values)
        return masked

    def restore(self) -> TextFilter | None:
        if not self._options.restore or not self._values:
            return None
        return RestoringFilter(self._values, self._beginnings)

    def answer(self) -> TextFilter:
        if self._others is None:
            # What the model writes itself is masked for good: its placeholders stay.
            self._others = self._placeholders.begin_others()
        return MaskingFilter(self._options.kinds, self._others)


class MaskingFilter(TextFilter):
    """Masks the values of a text that comes in pieces.

    It lets pass what stands before a boundary, which is a space that no value can go on behind. So
    each part is judged as it would be in the whole, however the text comes.

    Args:
        kinds: of values.
        placeholders: shared by the texts of an answer.
        longest: characters that are held back at most.
    """

    def __init__(
        self,
        kinds: Sequence[ValueKind],
        placeholders: Placeholders,
        *,
        longest: int = LONGEST_HELD,
    ) -> None:
        self._kinds = kinds
        self._placeholders = placeholders
        self._longest = longest
        self._held = ""
        self._searched = 0
        """So many of the held characters have no boundary before them."""

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        self._held += text
        out: list[str] = []
        while len(self._held) > self._longest:
            cut = self._last_boundary(self._longest)
            out.append(self._pass(cut or self._longest))
        cut = self._last_boundary(len(self._held))
        if cut:
            out.append(self._pass(cut))
        return "".join(out)

    def end(self) -> str:
        """See `TextFilter`."""
        return self._pass(len(self._held))

    def _last_boundary(self, end: int) -> int:
        """Where the first `end` held characters can be cut; 0 for nowhere."""
        held = self._held
        keys = _keys_in(held, end)
        cut = 0
        start = max(0, self._searched - _FARTHEST)
        for found in _BOUNDARY.finditer(held, start, min(len(held), end + 1)):
            place = found.end()
            if place <= end and not any(first < place <= last for first, last in keys):
                cut = place
        self._searched = end
        return cut

    def _pass(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        self._searched = 0
        return self._placeholders.replace(text, find_values(text, self._kinds))


def _keys_in(text: str, end: int) -> list[tuple[int, int]]:
    """Where private keys and their like are; one that is not complete goes on to the end."""
    keys: list[tuple[int, int]] = []
    begin = text.find(_KEY_BEGIN, 0, end)
    while begin >= 0:
        footer = text.find(_KEY_END, begin, end)
        rule = -1 if footer < 0 else text.find(_RULE, footer + len(_KEY_END), end)
        past = end if rule < 0 else rule + len(_RULE)
        keys.append((begin, past))
        begin = text.find(_KEY_BEGIN, past, end)
    return keys
