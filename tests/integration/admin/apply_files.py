"""A file with a bit of everything, and ways to apply files and to see what that has done."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from torana.admin.allowed_hosts import list_allowed_hosts
from torana.admin.apply.applying import Outcome, apply_document
from torana.admin.apply.document import read_document
from torana.admin.apply.secrets import Sources
from torana.admin.budgets import list_budgets
from torana.admin.guardrails import list_guardrails
from torana.admin.limits import list_limits
from torana.admin.prices import list_prices
from torana.admin.provider_keys import list_keys
from torana.admin.providers import PURPOSE, list_providers
from torana.admin.routes import list_routes
from torana.admin.tenancy import list_projects
from torana.db.models import ConfigVersion
from torana.db.session import Database
from torana.errors import ValidationFailed
from torana.secret_box import SecretBox

BOX = SecretBox([SecretStr("s" * 32)], PURPOSE)
VARIABLES = {"FIRST_KEY": "sk-first", "OTHER_KEY": "sk-other"}
FILE = """\
    allowed_hosts = ["models.internal"]

    [[providers]]
    name = "first"
    base_url = "https://first.example.test/v1"
    api_key_env = "FIRST_KEY"

    [[providers]]
    name = "second"
    base_url = "https://second.example.test/v1"
    enabled = false

    [[models]]
    name = "resilient"
    targets = [
      { provider = "first", model = "m" },
      { provider = "second", model = "m", priority = 2 },
    ]

    [[prices]]
    provider = "first"
    model = "m"
    input = 0.15
    output = "0.6"
    tiers = [{ above = 1000, input = 0.3, output = 1.2 }]

    [[projects]]
    name = "red"

    [[guardrails]]
    name = "words"
    kind = "blocked_patterns"
    projects = ["red"]
    options = { words = ["a"], span = 5 }

    [[limits]]
    scope = "project"
    id = "red"
    rpm = 60

    [[budgets]]
    scope = "project"
    id = "red"
    amount_usd = 50.25
    starts_at = 2026-01-01
    period = "interval"
    interval_seconds = 3600

    [[budgets]]
    scope = "end-user"
    id = "*"
    project = "red"
    name = "each"
    amount_usd = 1
    period = "day"
    """


def apply(
    database: Database,
    text: str,
    *,
    dry_run: bool = False,
    variables: dict[str, str] | None = None,
    folder: Path = Path(),
) -> Outcome:
    document = read_document(dedent(text).encode(), "x.toml")
    sources = Sources((variables or VARIABLES).get, folder)
    return apply_document(database, BOX, document, sources, dry_run=dry_run, resolve=public_address)


def public_address(host: str, port: int) -> list[tuple[str, int]]:
    """What all names stand for in these tests."""
    return [("10.0.0.5" if host == "private.example.test" else "8.8.8.8", port)]


def told(outcome: Outcome) -> list[str]:
    """Changes as `+ provider first` and `~ model m: a 1 -> 2`."""
    lines = []
    for change in outcome.changes:
        name = f"{change.kind} {change.name}"
        if change.action == "add":
            lines.append(f"+ {name}")
        lines += [f"~ {name}: {it.what} {it.before} -> {it.after}" for it in change.differences]
    return lines


def refused(database: Database, text: str) -> list[str]:
    before = everything(database)
    with pytest.raises(ValidationFailed) as caught:
        apply(database, text)
    assert everything(database) == before
    return [f"{each['field']}: {each['message']}" for each in caught.value.problems]


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def everything(database: Database) -> tuple[object, ...]:
    """All that a file may change."""
    return (
        version(database),
        list_providers(database),
        list_keys(database),
        list_routes(database),
        list_projects(database),
        list_prices(database, history=True),
        list_limits(database),
        list_guardrails(database),
        list_allowed_hosts(database),
        [(budget.id, budget.updated_at) for budget in list_budgets(database)],
    )
