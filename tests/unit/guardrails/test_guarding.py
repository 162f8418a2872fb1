"""Which guardrails a call is under, in which order, and what becomes of a broken one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.guardrails.guarding import MODEL, PROJECT, blocking, guards_of, prompted, row
from torana.errors import GuardrailBlocked, InternalError, LedgerUnavailable
from torana.guardrails.base import CallFacts, GuardedCall, Guardrail, TextFilter
from torana.guardrails.guarded import NO_GUARDRAILS, build_guardrails
from torana.guardrails.registry import BUILT_IN, Registry


class Tagging(Guardrail):
    """Puts its name around every text."""

    def begin(self, facts: CallFacts) -> GuardedCall:
        assert facts == CallFacts(model=MODEL, project_id=PROJECT)
        return _Tagged(self.name)


class _Tagged(GuardedCall):
    def __init__(self, name: str) -> None:
        self._name = name

    def prompt(self, texts: Sequence[str]) -> Sequence[str]:
        return [f"{self._name}({text})" for text in texts]

    def answer(self) -> TextFilter:
        return Around(self._name)


class Around(TextFilter):
    def __init__(self, name: str) -> None:
        self._before = f"{name}("

    def feed(self, text: str) -> str:
        before, self._before = self._before, ""
        return before + text

    def end(self) -> str:
        return ")"


class Broken(Guardrail):
    """Fails where its name says."""

    def begin(self, facts: CallFacts) -> GuardedCall:
        if self.name == "begin":
            raise RuntimeError(facts.model)
        return _BrokenCall(self.name)


class _BrokenCall(GuardedCall):
    def __init__(self, name: str) -> None:
        self._name = name

    def prompt(self, texts: Sequence[str]) -> Sequence[str]:
        if self._name == "fewer":
            return texts[1:]
        if self._name == "numbers":
            return [1 for _ in texts]  # type: ignore[misc]
        if self._name == "known":
            raise LedgerUnavailable("Its own error.")
        raise RuntimeError

    def answer(self) -> TextFilter:
        return _BrokenFilter()


class _BrokenFilter(TextFilter):
    def feed(self, text: str) -> str:
        return text

    def end(self) -> str:
        raise RuntimeError


class Kinds(Registry):
    def kind(self, name: str) -> type[Guardrail]:
        found = {"tag": Tagging, "broken": Broken}.get(name)
        return found or super().kind(name)


KINDS = Kinds()


@pytest.mark.parametrize(
    ("terms", "applies"),
    [
        ({}, True),
        ({"models": [MODEL]}, True),
        ({"models": ["gpt-*"]}, True),
        ({"models": ["claude-*", "gpt"]}, False),
        ({"projects": [PROJECT]}, True),
        ({"projects": ["proj_2"]}, False),
        ({"models": [MODEL], "projects": ["proj_2"]}, False),
    ],
)
def test_a_guardrail_applies_to_its_models_and_projects(terms, applies):
    guards = build_guardrails([row("g", "mask", **terms)]).for_call(MODEL, PROJECT)
    assert (guards is not None) is applies


@pytest.mark.parametrize(
    ("model", "also", "applies"),
    [
        ("openai/gpt-4o", (), True),
        ("openrouter/openai/gpt-4o", (), True),
        ("fast", ("gpt-4o",), True),
        ("fast", ("azure/gpt-4o",), True),
        ("fast", ("claude",), False),
        ("my-gpt-4o", (), False),
    ],
)
def test_another_name_of_a_model_is_no_way_around_its_guardrails(model, also, applies):
    guardrails = build_guardrails([row("g", "mask", models=["gpt-4*"])])
    assert (guardrails.for_call(model, PROJECT, also=also) is not None) is applies


def test_without_guardrails_a_call_has_none():
    assert NO_GUARDRAILS.for_call(MODEL, PROJECT) is None


def test_prompts_pass_in_order_and_answers_the_other_way():
    guards = guards_of(
        row("b", "tag", where="both", order=1),
        row("c", "tag", where="both"),
        row("a", "tag", where="both", order=1),
        registry=KINDS,
    )
    assert prompted(guards, "x", "y") == ["b(a(c(x)))", "b(a(c(y)))"]
    chain = guards.filter()
    assert chain is not None
    assert chain.whole("x") == "c(a(b(x)))"
    assert chain.changed
    assert guards.outcomes == {"c": "masked", "a": "masked", "b": "masked"}


def test_an_empty_text_passes_all_filters_too():
    guards = guards_of(
        row("a", "tag", where="answer"), row("b", "tag", where="answer"), registry=KINDS
    )
    chain = guards.filter()
    assert chain is not None
    assert chain.whole("") == "a())"


def test_a_later_guardrail_judges_what_an_earlier_one_has_left():
    rules = (row("a", "mask"), blocking("prompt", words=["jane@"]))
    assert prompted(guards_of(*rules), "jane@example.com") == ["[EMAIL_1]"]
    guards = guards_of(row("z", "mask", order=1), rules[1])
    with pytest.raises(GuardrailBlocked):
        prompted(guards, "jane@example.com")
    assert guards.outcomes == {"no-secrets": "blocked"}, "the other has not seen it"


def test_the_revision_is_that_of_all_that_applies():
    one, other = row("a", "mask"), row("b", "mask", {"restore": False})
    changed = row("a", "mask", {"restore": False})
    revisions = [
        guards_of(*rows).revision
        for rows in ([one], [other], [one, other], [other, one], [changed])
    ]
    assert revisions[2] == revisions[3]
    assert len(set(revisions)) == 4
    assert guards_of(one).revision == revisions[0]


@pytest.mark.parametrize("name", ["begin", "prompt", "fewer", "numbers"])
def test_a_guardrail_that_fails_lets_nothing_pass(name):
    with pytest.raises(InternalError, match=f"'{name}' can't be run"):
        prompted(guards_of(row(name, "broken"), registry=KINDS), "x")


def test_an_answer_that_can_not_be_judged_does_not_pass():
    chain = guards_of(row("answer", "broken", where="answer"), registry=KINDS).filter()
    assert chain is not None
    with pytest.raises(InternalError, match="'answer' can't be run"):
        chain.whole("x")


def test_an_error_of_the_tree_is_passed_on():
    with pytest.raises(LedgerUnavailable):
        prompted(guards_of(row("known", "broken"), registry=KINDS), "x")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (row("g", "nobody-knows", models=["gpt-*"]), "There is no kind of guardrails"),
        (row("g", "mask", {"what": 1}), "There is no option of 'mask' called 'what'."),
        (row("g", "mask", future=1), "unknown field `future`"),
    ],
)
def test_what_can_not_be_made_refuses_the_calls_that_it_is_for(broken, told):
    guardrails = build_guardrails([broken])
    assert told in guardrails.broken["g"]
    with pytest.raises(InternalError, match="'g' can't be run"):
        guardrails.for_call(MODEL, PROJECT)


def test_a_broken_one_that_is_for_others_is_nobodys_business():
    guardrails = build_guardrails([row("g", "nobody-knows", models=["claude-*"])])
    assert guardrails.for_call(MODEL, PROJECT) is None


def test_the_built_in_kinds_are_there():
    assert Registry().names == tuple(BUILT_IN) == ("blocked_patterns", "mask")
