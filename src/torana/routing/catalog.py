"""The catalogue: what may be called at present, as one immutable value. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from torana.core.money import Price
from torana.errors import ModelNotFound
from torana.routing.routes import Route, RouteTarget, single


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model, from the catalogue or from an administrator.

    Attributes:
        context_window: the most tokens of prompt and answer together.
        max_output: the most tokens it can write.
        inputs, outputs: modalities: `text`, `image`, `audio`, `file`.
        hides_output: it may bill output that the answer does not show (reasoning).
        tokenizer: the vocabulary of its text (`o200k_base`, `cl100k_base`), None when not public.
        image_tokens: the most tokens that one image in the prompt can count.
    """

    context_window: int | None = None
    max_output: int | None = None
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    hides_output: bool = True
    tokenizer: str | None = None
    image_tokens: int | None = None


NO_FACTS = ModelFacts()
_DATED = re.compile(r"(.+?)[-@](?:latest|\d{8}|\d{4}-\d{2}-\d{2}|\d{6}|\d{3,4})(?:-v\d+(?::\d+)?)?")
"""A name and what makes it one dated version of it."""


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models of a provider that are known beforehand, and which names mean which.

    Attributes:
        facts: by the model's name on the list.
        aliases: other names of it, in lower case.
        stems: in lower case; the stem with a date or the like after it is the model too. Never
            a mere prefix: `gpt-4o` is not `gpt-4o-mini`.
    """

    facts: Mapping[str, ModelFacts] = {}
    aliases: Mapping[str, str] = {}
    stems: Mapping[str, str] = {}

    def canonical(self, name: str) -> str | None:
        """The name on the list of what a caller calls `name`; None when it is not on it."""
        if name in self.facts:
            return name
        lowered = name.lower()
        known = self.aliases.get(lowered)
        if known is not None:
            return known
        if lowered.startswith("ft:"):
            # ft:MODEL:ORGANISATION:NAME:ID, priced by its model.
            lowered = ":".join(lowered.split(":", 2)[:2])
        elif ".ft-" in lowered:
            lowered = lowered[: lowered.index(".ft-") + 4]
        dated = _DATED.fullmatch(lowered)
        return self.stems.get(lowered) or (self.stems.get(dated[1]) if dated else None)


NO_LIST = ModelList()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One way to answer a call.

    Attributes:
        provider: the provider's name.
        model: the model's name as that provider knows it.
        max_output: the most tokens it can write, if known.
        price: its present price, None when none is known.
        facts: what is known of the model.
        suspended: it has reported more than its bound; closed to hard budgets.
    """

    provider: str
    model: str
    max_output: int | None = None
    price: Price | None = None
    facts: ModelFacts = NO_FACTS
    suspended: bool = False


class ProviderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What routing knows of a provider.

    Attributes:
        claims: a pattern of bare model names that go to it, or None.
    """

    name: str
    kind: str
    claims: str | None = None


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All that may be called.

    Attributes:
        providers: by name, in the order in which their claims are tried.
        routes: by the name that callers use.
        prices: the present price by (provider, model); the model `*` stands for all others.
        lists: what is known of a provider's models beforehand, by the provider's name; the
            facts of `*` stand for all others.
        suspended: (provider, model) of what has reported more than its bound.
    """

    providers: Mapping[str, ProviderEntry]
    routes: Mapping[str, Route]
    prices: Mapping[tuple[str, str], Price]
    lists: Mapping[str, ModelList] = {}
    suspended: AbstractSet[tuple[str, str]] = frozenset()

    def route(self, model: str) -> Route:
        """What is behind the name that a call asks for.

        A route's name wins; `provider/model` always works; a bare name goes to the first provider
        that claims it.

        Raises:
            ModelNotFound: there is nothing; the message says what to do.
        """
        named = self.routes.get(model)
        if named is not None:
            return named
        provider, slash, name = model.partition("/")
        if slash and name and provider in self.providers:
            return single(model, provider, name, max_output=self._limit_of(provider, name))
        for entry in self.providers.values():
            if entry.claims is not None and re.fullmatch(entry.claims, model):
                return single(model, entry.name, model)
        raise ModelNotFound(
            f"The model {model[:100]!r} does not exist here.",
            hint="GET /v1/models lists those that do; 'provider/model' addresses one directly.",
            param="model",
        )

    def targets(self, model: str) -> tuple[Target, ...]:
        """The ways to answer a call for `model`, as they stand in its route.

        Raises:
            ModelNotFound: there is none.
        """
        return self.targets_of(self.route(model))

    def targets_of(self, route: Route) -> tuple[Target, ...]:
        """A route's targets with what is known of each, in its order."""
        return tuple(self._target(target) for target in route.targets)

    def _limit_of(self, provider: str, model: str) -> int | None:
        """The limit of a model that is called directly and has a route of the same name."""
        known = self.routes.get(model)
        if known is None or len(known.targets) != 1:
            return None
        only = known.targets[0]
        return only.max_output if only.provider == provider else None

    def _target(self, entry: RouteTarget) -> Target:
        provider, model = entry.provider, entry.model
        listed = self.lists.get(provider, NO_LIST)
        name = listed.canonical(model) or "*"
        facts = listed.facts.get(name, NO_FACTS)
        prices = self.prices
        return Target(
            provider=provider,
            model=model,
            max_output=facts.max_output if entry.max_output is None else entry.max_output,
            price=prices.get((provider, model))
            or prices.get((provider, name))
            or prices.get((provider, "*")),
            facts=facts,
            suspended=(provider, model) in self.suspended,
        )
