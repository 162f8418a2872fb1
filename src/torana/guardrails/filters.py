"""The filters that one text of an answer passes through, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torana.guardrails.base import TextFilter


class Watcher(Protocol):
    """Runs the steps of filters, and hears what they have done."""

    def run(self, name: str, step: Callable[[], str]) -> str:
        """What a step gives; a guardrail that fails lets nothing pass."""
        ...

    def note_changed(self, name: str) -> None:
        """A guardrail has changed something."""
        ...


class Stage(TextFilter):
    """One guardrail's filter; it notices whether the text comes out as it went in.

    Args:
        watcher: runs it.
        name: of the guardrail.
        inner: its filter.
    """

    def __init__(self, watcher: Watcher, name: str, inner: TextFilter) -> None:
        self._watcher = watcher
        self._name = name
        self._inner = inner
        self._due = ""
        """What has gone in and must come out, as long as nothing was changed."""
        self.changed = False

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        if not self.changed:
            self._due += text
        return self._seen(self._watcher.run(self._name, lambda: self._inner.feed(text)))

    def end(self) -> str:
        """See `TextFilter`."""
        rest = self._seen(self._watcher.run(self._name, self._inner.end))
        if self._due and not self.changed:
            self._change()
        return rest

    def _seen(self, passed: str) -> str:
        if self.changed:
            return passed
        if self._due.startswith(passed):
            self._due = self._due[len(passed) :]
        else:
            self._change()
        return passed

    def _change(self) -> None:
        self.changed = True
        self._due = ""
        self._watcher.note_changed(self._name)


class Chain(TextFilter):
    """Filters in a row."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    @property
    def changed(self) -> bool:
        """Whether the text does not come out as it went in."""
        return any(stage.changed for stage in self._stages)

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        for stage in self._stages:
            if not text:
                return ""
            text = stage.feed(text)
        return text

    def end(self) -> str:
        """See `TextFilter`."""
        rest = ""
        for stage in self._stages:
            fed = stage.feed(rest) if rest else ""
            rest = fed + stage.end()
        return rest

    def whole(self, text: str) -> str:
        """A whole text as it passes."""
        fed = self.feed(text)
        return fed + self.end()
