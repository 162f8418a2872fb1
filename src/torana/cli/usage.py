"""`torana usage`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from torana.cli.context import open_database
from torana.cli.output import print_json, print_table
from torana.core.money import format_usd
from torana.ledger import reports


@click.command()
@click.option(
    "--by",
    "group_by",
    multiple=True,
    type=click.Choice(reports.GROUPS),
    default=("model",),
    show_default=True,
    help="What to sum by; repeat it to sum by several.",
)
@click.option("--since", type=click.DateTime(), help="Only calls from this instant on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only calls before this instant (UTC).")
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="How to print it.",
)
def usage(
    *, group_by: tuple[str, ...], since: datetime | None, until: datetime | None, form: str
) -> None:
    """Show what was spent, on what."""
    with open_database() as database, database.read() as session:
        rows = reports.usage(
            session, group_by=tuple(dict.fromkeys(group_by)), since=_utc(since), until=_utc(until)
        )
    if form == "json":
        print_json(
            [
                {
                    **row.group,
                    "calls": row.calls,
                    "input_tokens": row.input_tokens,
                    "output_tokens": row.output_tokens,
                    "cost_nano": row.cost_nano,
                    "cost_usd": format_usd(row.cost_nano),
                }
                for row in rows
            ]
        )
        return
    print_table(
        (*(name.upper() for name in dict.fromkeys(group_by)), "CALLS", "IN", "OUT", "COST USD"),
        [
            (
                *row.group.values(),
                row.calls,
                row.input_tokens,
                row.output_tokens,
                format_usd(row.cost_nano),
            )
            for row in rows
        ],
    )


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC)
