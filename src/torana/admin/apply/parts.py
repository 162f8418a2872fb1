"""The parts of a file in the order in which they are written: what others need comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torana.admin.apply.document import Document
from torana.admin.apply.guardrail_part import GuardrailPart
from torana.admin.apply.hosts import HostPart
from torana.admin.apply.money_parts import BudgetPart, LimitsPart, PricePart, ProjectPart
from torana.admin.apply.part import Part
from torana.admin.apply.upstream_parts import ModelPart, ProviderPart
from torana.secret_box import SecretBox


def parts_of(
    document: Document, secrets: Sequence[Mapping[str, str]], box: SecretBox
) -> list[Part]:
    """All parts of a file.

    Args:
        document: the file.
        secrets: of each provider, its keys by label.
        box: encrypts them.
    """
    wanted = document.wanted
    return [
        *(
            HostPart(host, ("allowed_hosts", position))
            for position, host in enumerate(wanted.allowed_hosts)
        ),
        *(
            ProviderPart(
                each,
                _given_options(document, position),
                secrets[position],
                box,
                ("providers", position),
            )
            for position, each in enumerate(wanted.providers)
        ),
        *(ModelPart(each, ("models", position)) for position, each in enumerate(wanted.models)),
        *(PricePart(each, ("prices", position)) for position, each in enumerate(wanted.prices)),
        *(
            ProjectPart(each, ("projects", position))
            for position, each in enumerate(wanted.projects)
        ),
        *(
            GuardrailPart(each, ("guardrails", position))
            for position, each in enumerate(wanted.guardrails)
        ),
        *(LimitsPart(each, ("limits", position)) for position, each in enumerate(wanted.limits)),
        *(BudgetPart(each, ("budgets", position)) for position, each in enumerate(wanted.budgets)),
    ]


def _given_options(document: Document, position: int) -> dict[str, Any]:
    """The options that a provider's table names; a preset says the others."""
    named = document.raw["providers"][position].get("options", {})
    options = document.wanted.providers[position].options
    return {name: getattr(options, name) for name in options.__struct_fields__ if name in named}
