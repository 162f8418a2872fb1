"""The guardrails of an installation, and those that one call is under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from torana.errors import (
    ConfigurationError,
    GuardrailBlocked,
    InternalError,
    InvalidRequest,
    ToranaError,
)
from torana.guardrails.base import CallFacts, GuardedCall, Guardrail
from torana.guardrails.filters import Chain, Stage
from torana.guardrails.registry import Registry, installed
from torana.guardrails.terms import GuardrailRow, GuardrailTerms

T = TypeVar("T")
Outcome = Literal["passed", "masked", "blocked"]
Rewrite = Callable[[str], str]


class Placed(msgspec.Struct, frozen=True):
    """A guardrail with its terms.

    Attributes:
        revision: changes with whatever it does.
    """

    guardrail: Guardrail
    terms: GuardrailTerms
    revision: str


class GuardedCalls:
    """One call under its guardrails, in their order.

    Args:
        placed: the guardrails that apply.
        facts: of the call.

    Attributes:
        revision: what answers kept for later must have in common.
        outcomes: what each guardrail has done so far; one that has seen nothing yet is not there.
    """

    def __init__(self, placed: tuple[Placed, ...], facts: CallFacts) -> None:
        self.revision = _digest([each.revision for each in placed])
        self.outcomes: dict[str, Outcome] = {}
        self._placed = placed
        self._calls = [self._begin(each.guardrail, facts) for each in placed]

    def rewrite(self, walk: Callable[[Rewrite], T]) -> T:
        """Lead a prompt through all guardrails.

        Args:
            walk: gives the prompt with each of its texts as a function rewrites it, always in the
                same order. It is called once to gather the texts, and again if any was changed.

        Raises:
            GuardrailBlocked: one does not let it pass.
            InternalError: one is broken.
        """
        texts: list[str] = []

        def gather(text: str) -> str:
            texts.append(text)
            return text

        same = walk(gather)
        fresh = texts
        for placed, call in zip(self._placed, self._calls, strict=True):
            if placed.terms.where != "answer":
                fresh = self._prompt(placed.guardrail.name, call, fresh)
        if fresh == texts:
            return same
        in_order = iter(fresh)
        return walk(lambda _text: next(in_order))

    def refuse_unread(self, param: str) -> None:
        """A part of the prompt is token ids, which can't be read.

        Raises:
            GuardrailBlocked: a guardrail does not let that pass.
        """
        for placed in self._placed:
            if placed.terms.where != "answer" and not placed.guardrail.passes_unread:
                name = placed.guardrail.name
                self.outcomes[name] = "blocked"
                raise GuardrailBlocked(
                    f"The guardrail {name!r} can't read token ids.",
                    hint=f"Send {param!r} as text.",
                    param=param,
                )

    def filter(self, *, restores: bool = True) -> Chain | None:
        """What one text of the answer passes through; None when nothing looks at it.

        Args:
            restores: also put back what was taken out of the prompt.

        Raises:
            InternalError: a guardrail is broken.
        """
        stages: list[Stage] = []
        for placed, call in reversed(list(zip(self._placed, self._calls, strict=True))):
            name, where = placed.guardrail.name, placed.terms.where
            judging = self.run(name, call.answer) if where != "prompt" else None
            restoring = self.run(name, call.restore) if restores and where != "answer" else None
            made = [Stage(self, name, each) for each in (judging, restoring) if each is not None]
            if made:
                self.outcomes.setdefault(name, "passed")
                stages += made
        return Chain(stages) if stages else None

    def run(self, name: str, step: Callable[[], T]) -> T:
        """One step of a guardrail: its refusal is noted, and its failure lets nothing pass.

        Raises:
            GuardrailBlocked: it does not let something pass.
            InternalError: it is broken.
        """
        try:
            return step()
        except GuardrailBlocked:
            self.outcomes[name] = "blocked"
            raise
        except ToranaError:
            raise
        except Exception as error:
            raise _broken(name) from error

    def note_changed(self, name: str) -> None:
        """A guardrail has changed something."""
        self.outcomes[name] = "masked"

    def _begin(self, guardrail: Guardrail, facts: CallFacts) -> GuardedCall:
        return self.run(guardrail.name, lambda: guardrail.begin(facts))

    def _prompt(self, name: str, call: GuardedCall, texts: list[str]) -> list[str]:
        given = self.run(name, lambda: list(call.prompt(tuple(texts))))
        if len(given) != len(texts) or not all(isinstance(text, str) for text in given):
            raise _broken(name)
        self.outcomes[name] = "passed" if given == texts else "masked"
        return given


class Guardrails:
    """All guardrails of an installation, in their order.

    Args:
        placed: the guardrails.
        broken: names of those that can't be run, and why; their calls are refused.
    """

    def __init__(
        self, placed: tuple[Placed, ...] = (), broken: Mapping[str, str] | None = None
    ) -> None:
        self._placed = placed
        self.broken = dict(broken or {})

    def for_call(
        self, model: str, project_id: str, *, also: Iterable[str] = ()
    ) -> GuardedCalls | None:
        """The guardrails of a call; None when it has none.

        Another name for a model must not be a way around its guardrails: `openai/gpt-4o` is under
        those of `gpt-4o` too, and so is an alias under those of its targets.

        Args:
            model: as the caller asks for it.
            project_id: the caller's.
            also: the names that the models have at the providers that may be asked.

        Raises:
            InternalError: one is broken.
        """
        if not self._placed:
            return None
        names = [end for name in (model, *also) for end in _endings(name)]
        chosen = tuple(each for each in self._placed if each.terms.apply_to(names, project_id))
        if not chosen:
            return None
        return GuardedCalls(chosen, CallFacts(model=model, project_id=project_id))


NO_GUARDRAILS = Guardrails()


def build_guardrails(rows: Iterable[GuardrailRow], registry: Registry | None = None) -> Guardrails:
    """The guardrails of rows. One that can't be made refuses all calls that it is meant for.

    Args:
        rows: the enabled ones.
        registry: the kinds that there are; those of the installation unless given.
    """
    kinds = registry or installed()
    broken: dict[str, str] = {}
    placed = []
    for row in rows:
        terms = GuardrailTerms()
        try:
            terms = msgspec.convert(row.terms, GuardrailTerms)
            guardrail = kinds.build(row.kind, row.name, terms.options)
        except (ConfigurationError, InvalidRequest, msgspec.ValidationError) as error:
            broken[row.name] = error.message if isinstance(error, ToranaError) else str(error)
            guardrail = _Unusable(row.name, None)
        placed.append(Placed(guardrail, terms, _revision(row)))
    placed.sort(key=lambda each: (each.terms.order, each.guardrail.name))
    return Guardrails(tuple(placed), broken)


class _Unusable(Guardrail):
    """In the place of a guardrail that can't be made: it must not be missing unseen."""

    def begin(self, facts: CallFacts) -> GuardedCall:
        del facts
        raise _broken(self.name)


def _endings(name: str) -> list[str]:
    """A model's name with and without what stands before its slashes."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _broken(name: str) -> InternalError:
    return InternalError(f"The guardrail {name!r} can't be run, so this call does not pass.")


def _revision(row: GuardrailRow) -> str:
    return _digest([row.name, row.kind, row.terms])


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
