"""Every example in docs/examples can be applied, and docs/apply.md tells of every key."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from torana.admin.apply import schema
from torana.admin.apply.applying import Outcome, apply_document
from torana.admin.apply.document import read_document
from torana.admin.apply.secrets import Sources
from torana.admin.guardrails import NewGuardrail
from torana.admin.providers import PURPOSE, list_providers
from torana.admin.routes import get_route
from torana.db.models import ConfigVersion
from torana.db.session import Database
from torana.providers.options import ProviderOptions
from torana.routing.routes import RouteTarget
from torana.secret_box import SecretBox

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.toml"))
PAGE = (DOCS / "apply.md").read_text(encoding="utf-8")
TABLES: dict[str, type[msgspec.Struct]] = {
    "The top": schema.Wanted,
    "`[[providers]]`": schema.WantedProvider,
    "`[providers.options]`": ProviderOptions,
    "`[[models]]`": schema.WantedModel,
    "`targets` of `[[models]]`": RouteTarget,
    "`[[projects]]`": schema.WantedProject,
    "`[[limits]]`": schema.WantedLimits,
    "`[[budgets]]`": schema.WantedBudget,
    "`[[prices]]`": schema.WantedPrice,
    "`[[guardrails]]`": NewGuardrail,
}


def apply(database: Database, file: Path) -> Outcome:
    return apply_document(
        database,
        SecretBox([SecretStr("s" * 32)], PURPOSE),
        read_document(file.read_bytes(), file.name),
        Sources(lambda _name: None, file.parent),
        resolve=lambda _host, port: [("8.8.8.8", port)],
    )


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_applied_once(database, file):
    outcome = apply(database, file)
    assert outcome.unchanged == 0
    assert {change.action for change in outcome.changes} == {"add"}
    before = version(database)
    again = apply(database, file)
    assert (again.changes, again.unchanged) == ((), len(outcome.changes))
    assert version(database) == before


def test_all_examples_go_together(database):
    for _ in range(2):
        for file in EXAMPLES:
            apply(database, file)
    assert [apply(database, file).changes for file in EXAMPLES] == [()] * len(EXAMPLES)


def test_the_failover_example_has_two_providers_and_a_name_for_both(database):
    apply(database, DOCS / "examples" / "failover.toml")
    assert [(view.name, view.kind, view.base_url) for view in list_providers(database)] == [
        ("first", "compatible", "http://127.0.0.1:9001/v1"),
        ("second", "compatible", "http://127.0.0.1:9002/v1"),
    ]
    route = get_route(database, "resilient").route
    assert route.strategy == "priority"
    assert [(target.provider, target.model, target.priority) for target in route.targets] == [
        ("first", "gpt-4o-mini", 1),
        ("second", "gpt-4o-mini", 2),
    ]


def test_there_are_examples_and_the_page_names_them():
    assert {"failover", "teams", "cost-saving", "guarded"} <= {file.stem for file in EXAMPLES}
    for file in EXAMPLES:
        assert f"(examples/{file.name})" in PAGE


def test_what_the_page_shows_can_be_read():
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert read_document(block.encode(), "block").problems == []


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_documented(heading):
    (section,) = re.findall(
        rf"^### {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    keys: dict[str, bool] = {}
    for cell in re.findall(r"^\| ([^|]*`[^|]*) \|", section, re.MULTILINE):
        keys |= {name: bool(stars) for stars, name in re.findall(r"(\*\*)?`(\w+)`", cell)}
    fields = msgspec.structs.fields(TABLES[heading])
    assert keys == {field.encode_name: field.required for field in fields}
