"""What an administrator says of a guardrail: for which calls it is, and how it shall behave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from torana.core.model_lists import allows

Where = Literal["prompt", "answer", "both"]
WHERES: tuple[Where, ...] = ("prompt", "answer", "both")
LARGEST_ORDER = 1000


class GuardrailTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of a guardrail.

    Attributes:
        models: names, `gpt-4*` for a beginning; None for all.
        projects: ids; None for all.
        where: what it looks at.
        order: guardrails with a smaller number see a prompt first, and its answer last.
        options: of its kind.
    """

    models: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    where: Where = "prompt"
    order: int = 0
    options: dict[str, Any] = {}

    def apply_to(self, names: Iterable[str], project_id: str) -> bool:
        """Whether a call is meant, whose model has these names."""
        if self.projects is not None and project_id not in self.projects:
            return False
        return any(allows(self.models, name) for name in names)


class GuardrailRow(msgspec.Struct, frozen=True, kw_only=True):
    """A guardrail as it is stored.

    Attributes:
        kind: the name of a built-in kind or of a plugin.
        terms: a `GuardrailTerms` as JSON.
    """

    name: str
    kind: str
    terms: dict[str, Any]
