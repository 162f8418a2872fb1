"""Lists of models that a key, an account or a budget allows."""

from __future__ import annotations


def allows(models: tuple[str, ...] | None, model: str) -> bool:
    """Whether a list of models has a name; `gpt-4o*` stands for all that begin so."""
    if models is None or model in models:
        return True
    return any(item.endswith("*") and model.startswith(item[:-1]) for item in models)
