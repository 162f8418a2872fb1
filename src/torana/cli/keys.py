"""`torana keys`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from torana.admin import keys as admin
from torana.admin.limits import LimitsChange
from torana.auth.policy import KEY_ROLES
from torana.cli.budgets import budget_terms
from torana.cli.context import open_database
from torana.cli.options import Usd, models_of, period_option, window_options
from torana.cli.output import json_option, print_json, print_table


@click.group()
def keys() -> None:
    """API keys for programs."""


@keys.command()
@click.option("--project", required=True, help="Name or id of the project it calls for.")
@click.option("--name", required=True, help="A name for people.")
@click.option("--models", help="Comma-separated names that it may ask for; all when left out.")
@click.option("--user", "owner", help="E-mail of the user on whose account it also counts.")
@click.option(
    "--role",
    type=click.Choice(sorted(KEY_ROLES)),
    default="caller",
    show_default=True,
    help="An 'admin' may also manage its organisation's budgets, limits and prices.",
)
@click.option("--rpm", type=int, help="Requests a minute.")
@click.option("--tpm", type=int, help="Tokens a minute.")
@click.option("--concurrency", type=int, help="Open calls at a time.")
@click.option(
    "--cache-seconds",
    type=int,
    help="Keep answers for so long for the same request; 0 keeps none. As the route says if unset.",
)
@click.option("--budget-usd", type=Usd(), help="What it may spend in each period.")
@period_option
@window_options
@json_option
def create(
    *,
    project: str,
    name: str,
    models: str | None,
    owner: str | None,
    role: str,
    as_json: bool,
    budget_usd: int | None,
    cache_seconds: int | None,
    period: str | None,
    **options: Any,
) -> None:
    """Make a key with its limits and its budget. It is shown once."""
    limits = {
        name: value
        for name in ("rpm", "tpm", "concurrency")
        if (value := options.pop(name)) is not None
    }
    if budget_usd is None and (period or any(value is not None for value in options.values())):
        raise click.UsageError("A period and what goes with it need --budget-usd.")
    budget = budget_terms(budget_usd, period, **options) if budget_usd is not None else None
    allowed = models_of(models)
    with open_database() as database:
        made = admin.create_key(
            database,
            project=project,
            name=name,
            models=list(allowed) if allowed is not None else None,
            owner_email=owner,
            role=role,
            limits=msgspec.structs.replace(LimitsChange(), **limits),
            budget=budget,
            cache_seconds=cache_seconds,
        )
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made.key}\n\nThis is the only time it is shown. Its id is {made.id}.")


@keys.command(name="list")
@click.option("--project", help="Only those of this project.")
@json_option
def list_(*, project: str | None, as_json: bool) -> None:
    """List keys, never the keys themselves."""
    with open_database() as database:
        rows = admin.list_keys(database, project=project)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("ID", "NAME", "BEGINS", "PROJECT", "ROLE", "MODELS", "CREATED", "REVOKED"),
        [
            (
                row.id,
                row.name,
                f"{row.prefix}...",
                row.project,
                row.role,
                row.models or "all",
                row.created_at,
                row.revoked_at,
            )
            for row in rows
        ],
    )


@keys.command()
@click.argument("key_id")
@json_option
def revoke(*, key_id: str, as_json: bool) -> None:
    """Revoke the key of an id, at once and on every process."""
    with open_database() as database:
        view = admin.revoke_key(database, key_id)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Revoked {view.name} ({view.id}).")
