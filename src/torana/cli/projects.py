"""`torana projects`."""

from __future__ import annotations

import click

from torana.admin import tenancy
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table


@click.group()
def projects() -> None:
    """Where keys live and money is counted."""


@projects.command()
@click.argument("name")
@json_option
def create(*, name: str, as_json: bool) -> None:
    """Add a project."""
    with open_database() as database:
        view = tenancy.create_project(database, name=name)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Created the project {view.name} ({view.id}).")


@projects.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List projects."""
    with open_database() as database:
        rows = tenancy.list_projects(database)
    if as_json:
        print_json(rows)
    else:
        print_table(("ID", "NAME", "CREATED"), [(row.id, row.name, row.created_at) for row in rows])
