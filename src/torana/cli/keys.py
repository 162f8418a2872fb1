"""`torana keys`."""

from __future__ import annotations

import click

from torana.admin import keys as admin
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table


@click.group()
def keys() -> None:
    """API keys for programs."""


@keys.command()
@click.option("--project", required=True, help="Name or id of the project it calls for.")
@click.option("--name", required=True, help="A name for people.")
@click.option("--models", help="Comma-separated names that it may ask for; all when left out.")
@click.option("--user", "owner", help="E-mail of the user on whose account it also counts.")
@json_option
def create(
    *, project: str, name: str, models: str | None, owner: str | None, as_json: bool
) -> None:
    """Make a key. It is shown once."""
    allowed = [part.strip() for part in models.split(",") if part.strip()] if models else None
    with open_database() as database:
        made = admin.create_key(
            database, project=project, name=name, models=allowed, owner_email=owner
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
        ("ID", "NAME", "BEGINS", "PROJECT", "MODELS", "CREATED", "REVOKED"),
        [
            (
                row.id,
                row.name,
                f"{row.prefix}...",
                row.project,
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
