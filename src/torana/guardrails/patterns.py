"""The kind `blocked_patterns`: texts with certain words or patterns do not pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from torana.guardrails.base import CallFacts, GuardedCall, Guardrail, Side, TextFilter
from torana.guardrails.linear import Expression, escape

_MOST_PATTERNS = 1000
_LONGEST_PATTERN = 1000
_LONGEST_SPAN = 10_000
_LARGEST_PATTERN = 4_000
"""Steps of one compiled pattern: the worst then takes some seconds for a prompt of a megabyte."""


class BlockedOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is blocked.

    Attributes:
        words: texts, found wherever they stand, inside other words too.
        patterns: expressions in RE2's syntax.
        ignore_case: whether capitals and small letters are the same.
        span: the most characters that a match of `patterns` has in a stream; so many are held back.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    ignore_case: bool = True
    span: int = 200

    def __post_init__(self) -> None:
        """Refuse what makes no sense, in words for who typed it."""
        if not self.words and not self.patterns:
            raise ValueError("'words' or 'patterns' must name something to block")
        if len(self.words) + len(self.patterns) > _MOST_PATTERNS:
            raise ValueError(f"at most {_MOST_PATTERNS} words and patterns")
        if any(not 1 <= len(text) <= _LONGEST_PATTERN for text in (*self.words, *self.patterns)):
            raise ValueError(f"a word or a pattern has 1 to {_LONGEST_PATTERN} characters")
        if not 1 <= self.span <= _LONGEST_SPAN:
            raise ValueError(f"'span' is between 1 and {_LONGEST_SPAN}")
        if any(not word.strip() for word in self.words):
            raise ValueError("a word has more than spaces")


class BlockedPatterns(Guardrail):
    """Blocks prompts and answers that have one of its words or patterns in them.

    Raises:
        ValueError: a pattern is not an expression, matches empty texts, or all are too large.
    """

    Options: ClassVar[type[msgspec.Struct]] = BlockedOptions

    def __init__(self, name: str, options: Any) -> None:
        super().__init__(name, options)
        for number, text in enumerate(options.patterns):
            _check(number, text)
        sought = [escape(word) for word in options.words]
        sought += [f"(?:{pattern})" for pattern in options.patterns]
        self.sought = Expression("|".join(sought), ignore_case=options.ignore_case)
        longest = max((len(word) for word in options.words), default=0)
        self.held = max(longest, options.span if options.patterns else 0)

    def begin(self, facts: CallFacts) -> GuardedCall:
        """See `Guardrail`."""
        del facts
        return _BlockedCall(self)

    def judge(self, text: str, side: Side) -> None:
        """Let a whole text pass or not."""
        if self.sought.search(text) is not None:
            raise self.blocked(side)


class _BlockedCall(GuardedCall):
    def __init__(self, guardrail: BlockedPatterns) -> None:
        self._guardrail = guardrail

    def prompt(self, texts: Sequence[str]) -> Sequence[str]:
        for text in texts:
            self._guardrail.judge(text, "prompt")
        return texts

    def answer(self) -> TextFilter:
        return BlockingFilter(self._guardrail)


class BlockingFilter(TextFilter):
    """Holds back as many characters as a match can have, so that none of one ever passes.

    A match counts once the character after it is known, on which the anchors depend.
    """

    def __init__(self, guardrail: BlockedPatterns) -> None:
        self._guardrail = guardrail
        self._before = ""
        """The last character that has passed: the anchors depend on it."""
        self._held = ""

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        self._held += text
        self._search(to=len(self._held) - 1)
        ready = len(self._held) - self._guardrail.held
        return self._pass(ready) if ready > 0 else ""

    def end(self) -> str:
        """See `TextFilter`."""
        self._search(to=len(self._held))
        return self._pass(len(self._held))

    def _search(self, *, to: int) -> None:
        before = len(self._before)
        seen = self._before + self._held
        if to > 0 and self._guardrail.sought.search(seen, before, before + to) is not None:
            raise self._guardrail.blocked("answer")

    def _pass(self, count: int) -> str:
        passed, self._held = self._held[:count], self._held[count:]
        self._before = passed[-1:] or self._before
        return passed


def _check(number: int, text: str) -> None:
    try:
        expression = Expression(text, ignore_case=True, largest=_LARGEST_PATTERN)
    except ValueError as error:
        raise ValueError(f"patterns[{number}] can't be used: {error}") from None
    for sample in ("", " a1 "):
        found = expression.search(sample)
        if found is not None and found.start() == found.end():
            raise ValueError(f"patterns[{number}] matches empty texts, so it would block all")
