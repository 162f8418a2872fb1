"""What a kind of guardrail must be able to do. Built-in kinds and plugins are written against this.

A `Guardrail` is made once for each configuration and shared by all calls. For each call it begins a
`GuardedCall`, which sees all texts of the prompt at once and makes a `TextFilter` for each text of
the answer. It never sees who calls, nor any wire format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from torana.errors import GuardrailBlocked

Side = Literal["prompt", "answer"]


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardrail may know of a call.

    Attributes:
        model: as the caller asks for it.
    """

    model: str
    project_id: str


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a kind that has none."""


class TextFilter(ABC):
    """What one text passes through, piece by piece as it comes.

    However a text is cut into pieces, what comes out must be the same as a whole.
    """

    @abstractmethod
    def feed(self, text: str) -> str:
        """What may pass now that this piece has come; it may hold back what it can't judge yet.

        Raises:
            GuardrailBlocked: the text must not pass.
        """

    @abstractmethod
    def end(self) -> str:
        """The rest, once the text is complete. Called once, last.

        Raises:
            GuardrailBlocked: the text must not pass.
        """


class GuardedCall:
    """One call under a guardrail; has the call's state. The defaults let everything pass."""

    def prompt(self, texts: Sequence[str]) -> Sequence[str]:
        """All texts of a prompt, in its order: as many come back, each in its place.

        Called once, before the provider is, and only where the terms say `prompt` or `both`.

        Raises:
            GuardrailBlocked: the prompt must not pass.
        """
        return texts

    def restore(self) -> TextFilter | None:
        """Puts back into a text of the answer what `prompt` has taken out.

        Called for each text of the answer but the model's thinking, which its provider may have
        signed. None when there is nothing to put back.
        """
        return None

    def answer(self) -> TextFilter | None:
        """Judges or changes a text of the answer, thinking too.

        Called for each text, and only where the terms say `answer` or `both`.
        """
        return None


class Guardrail(ABC):
    """A kind of guardrail with its options.

    Args:
        name: of the guardrail; an error may tell it.
        options: an instance of `Options`.

    Attributes:
        Options: a frozen msgspec Struct; its fields are what an administrator may set.
        passes_unread: whether prompts may pass that are not text but token ids.
    """

    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    passes_unread: ClassVar[bool] = False

    def __init__(self, name: str, options: Any) -> None:
        self.name = name
        self.options = options

    @abstractmethod
    def begin(self, facts: CallFacts) -> GuardedCall:
        """Begin a call."""

    def blocked(self, side: Side) -> GuardrailBlocked:
        """The error for a text that must not pass. It names the guardrail and never the text."""
        return GuardrailBlocked(f"The guardrail {self.name!r} does not let this {side} pass.")
