"""Guardrails for tests: of rows, without a database."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from torana.guardrails.base import TextFilter
from torana.guardrails.guarded import GuardedCalls, build_guardrails
from torana.guardrails.registry import Registry
from torana.guardrails.terms import GuardrailRow

MODEL = "gpt-4o"
PROJECT = "proj_1"


def row(name: str, kind: str, options: dict[str, Any] | None = None, **terms: Any) -> GuardrailRow:
    return GuardrailRow(name=name, kind=kind, terms={"options": options or {}, **terms})


def masking(where: str = "prompt", **options: Any) -> GuardrailRow:
    return row("privacy", "mask", options, where=where)


def blocking(where: str = "both", **options: Any) -> GuardrailRow:
    return row("no-secrets", "blocked_patterns", options, where=where)


def guards_of(*rows: GuardrailRow, registry: Registry | None = None) -> GuardedCalls:
    guards = build_guardrails(rows, registry).for_call(MODEL, PROJECT)
    assert guards is not None
    return guards


def prompted(guards: GuardedCalls, *texts: str) -> list[str]:
    return guards.rewrite(lambda rewrite: [rewrite(text) for text in texts])


@st.composite
def cut(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    """A text in pieces, some of them empty."""
    text = draw(texts)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def through(passes: TextFilter, pieces: list[str]) -> str:
    out = [passes.feed(piece) for piece in pieces]
    return "".join([*out, passes.end()])
