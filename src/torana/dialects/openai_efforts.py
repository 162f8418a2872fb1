"""A budget of thinking as one of OpenAI's efforts."""

from __future__ import annotations

LOW_BUDGET = 4_096
MEDIUM_BUDGET = 16_384
"""A budget of tokens up to these is a low or medium effort; a larger one is a high effort."""


def effort_of_budget(budget: int) -> str:
    """The effort that comes nearest to a budget of so many tokens."""
    if budget <= LOW_BUDGET:
        return "low"
    return "medium" if budget <= MEDIUM_BUDGET else "high"
