"""What models can be asked for, where it can't be seen from a price list. Pure.

Claude's models differ in how thinking is asked for and in whether an answer can be held to a
schema. A name that is not known here is taken for one of the newest. Source: Anthropic's public
model documentation.
"""

from __future__ import annotations

import re

import msgspec

_OLD_CLAUDE = re.compile(r"claude-(?:[123]|instant|v?2|(?:opus|sonnet|haiku)-[123](?:-|$))")
"""Everything before Claude 4."""
_NO_SCHEMAS = re.compile(r"claude-(?:sonnet|opus)-4(?:-0|-2025\d{4}|@2025\d{4})?$")
"""Claude 4.0; 4.1 and later can be held to a schema."""
_BUDGETS = re.compile(
    r"claude-3-7-|claude-(?:sonnet|opus|haiku)-4(?:-[0-5])?(?:[-@](?:\d{8}|latest))?$"
)
"""Models that think as long as a budget of tokens says."""
_REASONS = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)(?!.*-chat)")
"""OpenAI's models that think; others refuse to be asked for their encrypted thinking."""


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can be asked for.

    Attributes:
        reasons: it thinks before it answers, and its thinking can be asked for (OpenAI's).
        schemas: its answer can be held to a JSON schema by its provider.
        adaptive_thinking: it decides itself how much to think.
    """

    reasons: bool = False
    schemas: bool = True
    adaptive_thinking: bool = True


def abilities_of(model: str) -> Abilities:
    """What a model can be asked for, by its name at its provider."""
    name = model.lower().rpartition("/")[2].removeprefix("anthropic.")
    if not name.startswith("claude"):
        return Abilities(reasons=_REASONS.match(name) is not None)
    old = _OLD_CLAUDE.match(name) is not None
    return Abilities(
        schemas=not old and _NO_SCHEMAS.match(name) is None,
        adaptive_thinking=not old and _BUDGETS.match(name) is None,
    )
