"""The catalogue: what may be called at present, as one immutable value. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from torana.core.money import Price
from torana.errors import ModelNotFound


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One way to answer a call.

    Attributes:
        provider: the provider's name.
        model: the model's name as that provider knows it.
        max_output: the most tokens it can write, if known.
        price: its present price, None when none is known.
    """

    provider: str
    model: str
    max_output: int | None = None
    price: Price | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A name that callers may ask for, and the model behind it."""

    name: str
    provider: str
    model: str
    max_output: int | None = None


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
        routes: named models by the name that callers use.
        prices: the present price by (provider, model); the model `*` stands for all others.
    """

    providers: Mapping[str, ProviderEntry]
    routes: Mapping[str, Route]
    prices: Mapping[tuple[str, str], Price]

    def targets(self, model: str) -> tuple[Target, ...]:
        """The ways to answer a call for `model`, best first.

        A route's name wins; `provider/model` always works; a bare name goes to the first provider
        that claims it.

        Raises:
            ModelNotFound: there is none; the message says what to do.
        """
        route = self.routes.get(model)
        if route is not None:
            return (self._target(route.provider, route.model, route.max_output),)
        provider, slash, name = model.partition("/")
        if slash and name and provider in self.providers:
            known = self.routes.get(name)
            same = known is not None and known.provider == provider
            return (self._target(provider, name, known.max_output if known and same else None),)
        for entry in self.providers.values():
            if entry.claims is not None and re.fullmatch(entry.claims, model):
                return (self._target(entry.name, model, None),)
        raise ModelNotFound(
            f"The model {model[:100]!r} does not exist here or you may not use it.",
            hint="GET /v1/models lists those that do; 'provider/model' addresses one directly.",
            param="model",
        )

    def _target(self, provider: str, model: str, max_output: int | None) -> Target:
        return Target(
            provider=provider,
            model=model,
            max_output=max_output,
            price=self.prices.get((provider, model)) or self.prices.get((provider, "*")),
        )
