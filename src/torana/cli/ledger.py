"""`torana ledger`."""

from __future__ import annotations

import sys

import click

from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.ledger import reports


@click.group()
def ledger() -> None:
    """The record of every call."""


@ledger.command()
@json_option
def verify(*, as_json: bool) -> None:
    """Recompute every balance from the ledger and the open reservations; exit 1 if one differs."""
    with open_database() as database, database.read() as session:
        differences = reports.verify(session)
    if as_json:
        print_json({"differences": differences})
    elif differences:
        print_table(
            ("SCOPE", "ID", "COLUMN", "STORED", "COMPUTED"),
            [
                (row.scope_kind, row.scope_id, row.column, row.stored, row.computed)
                for row in differences
            ],
        )
    else:
        click.echo("Every balance agrees with the ledger and the open reservations.")
    if differences:
        sys.exit(1)
