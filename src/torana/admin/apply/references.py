"""What a file must not say twice, and the providers that it may name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torana.admin.apply.locator import Path
from torana.admin.apply.problems import Problem, suggestion
from torana.admin.apply.schema import Wanted
from torana.admin.provider_terms import RESERVED_NAMES


def check_references(wanted: Wanted, providers: Collection[str]) -> list[Problem]:
    """What is wrong with a file as a whole.

    Args:
        wanted: what it says.
        providers: the names of those in the database.
    """
    known = list(
        dict.fromkeys([*(each.name for each in wanted.providers), *providers, *RESERVED_NAMES])
    )
    return [
        *(
            Problem(
                path, f'there is no provider "{name[:64]}", {_SOUGHT}; {suggestion(name, known)}'
            )
            for path, name in _named_providers(wanted)
            if name not in known
        ),
        *_twice(wanted),
    ]


_SOUGHT = "neither in this file nor in the database"


def _named_providers(wanted: Wanted) -> Iterator[tuple[Path, str]]:
    for position, model in enumerate(wanted.models):
        for number, target in enumerate(model.targets):
            yield ("models", position, "targets", number, "provider"), target.provider
    for position, price in enumerate(wanted.prices):
        yield ("prices", position, "provider"), price.provider


def _twice(wanted: Wanted) -> Iterator[Problem]:
    named: list[tuple[str, list[tuple[object, ...]], str]] = [
        ("allowed_hosts", [(host,) for host in wanted.allowed_hosts], "this host"),
        ("providers", [(each.name,) for each in wanted.providers], "a provider of this name"),
        ("models", [(each.name,) for each in wanted.models], "a model of this name"),
        ("projects", [(each.name,) for each in wanted.projects], "a project of this name"),
        ("prices", [(each.provider, each.model) for each in wanted.prices], "this price"),
        (
            "limits",
            [(each.scope, each.id, each.project) for each in wanted.limits],
            "limits of this scope",
        ),
        (
            "budgets",
            [(each.scope, each.id, each.project, each.name) for each in wanted.budgets],
            "a budget of this scope and name",
        ),
        ("guardrails", [(each.name,) for each in wanted.guardrails], "a guardrail of this name"),
    ]
    for key, names, what in named:
        for position, name in enumerate(names):
            if name in names[:position]:
                again = f"{what} stands in the file already"
                if key == "budgets":
                    again += '; tell them apart with "name"'
                yield Problem((key, position), again)
