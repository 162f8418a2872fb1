"""`torana ledger`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from torana.cli import frames
from torana.cli.asked import Asked, calls_options, filter_of, span_of
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.core.money import format_usd, parse_usd
from torana.core.usage import CLASSES
from torana.errors import InvalidRequest
from torana.ledger import rebuild as rebuilding
from torana.ledger import reports

CHUNK = 20_000
"""Entries that an export holds at a time."""
_SHOWN = (
    *("request_id", "seq", "admitted_at", "status", "model", "provider", "target_model"),
    *("input_tokens", "output_tokens", "cost_usd"),
)


@click.group()
def ledger() -> None:
    """The record of every call."""


@ledger.command()
@json_option
def verify(*, as_json: bool) -> None:
    """Recompute balances, reservations and rollups, and compare; exit 1 on a difference."""
    with open_database() as database, database.read() as session:
        differences = reports.verify(session)
    if as_json:
        print_json({"differences": differences})
    elif differences:
        print_table(
            ("WHAT", "SCOPE", "ID", "COLUMN", "STORED", "COMPUTED"),
            [
                (row.what, row.scope_kind, row.scope_id, row.column, row.stored, row.computed)
                for row in differences
            ],
        )
    else:
        click.echo("Every balance agrees with the ledger and the open reservations.")
        click.echo("Every rollup agrees with the ledger.")
    if differences:
        sys.exit(1)


@ledger.command()
@click.option("--since", help="From the quarter of an hour that holds this date or instant.")
@click.option("--until", help="To the end of the quarter of an hour before this date or instant.")
@click.option("--time-zone", default="UTC", show_default=True, help="Of dates.")
@json_option
def rebuild(*, since: str | None, until: str | None, time_zone: str, as_json: bool) -> None:
    """Make the rollups anew from the ledger; calls go on meanwhile."""
    zone = reports.time_zone(time_zone)
    start, end = (
        None if text is None else reports.parse_instant(text, zone, field=field)
        for field, text in (("since", since), ("until", until))
    )
    with open_database() as database:
        done = rebuilding.rebuild(database, since=start, until=end)
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done.rows:,} rollups are as the ledger says; {done.changed:,} were not.")


@ledger.command(name="list")
@calls_options
@click.option("--min-cost-usd", help="Only entries that cost at least so much.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most entries."
)
@click.option("--cursor", help="The `next_cursor` of the page before.")
@json_option
def list_(
    *,
    min_cost_usd: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List entries, the newest first."""
    asked = Asked(**options)
    span = span_of(asked)
    with open_database() as database, database.read() as session:
        page = reports.entry_page(
            session,
            where=filter_of(session, asked),
            limit=limit,
            cursor=cursor,
            since=span.since,
            until=span.until,
            min_cost_nano=_nano(min_cost_usd),
        )
        rows = [_row(entry) for entry in page.entries]
    if as_json:
        print_json({"data": rows, "next_cursor": page.next_cursor})
        return
    _print(rows)
    if page.next_cursor is not None:
        click.echo(f"\nThere are more: --cursor {page.next_cursor}")


@ledger.command()
@click.argument("request_id")
@json_option
def show(*, request_id: str, as_json: bool) -> None:
    """Show a call by the x-request-id of its answer, with all its postings."""
    with open_database() as database, database.read() as session:
        rows = [_row(entry) for entry in reports.entries_of_call(session, call_id=request_id)]
    cost = sum(row["cost_nano"] for row in rows)
    if as_json:
        told = {"request_id": request_id, "cost_nano": cost, "cost_usd": format_usd(cost)}
        print_json({**told, "entries": rows})
        return
    for row in rows:
        width = max(map(len, row))
        for name, value in row.items():
            shown = frames.instant_text(value) if isinstance(value, datetime) else value
            click.echo(f"{name.ljust(width)}  {'-' if shown is None else shown}")
        click.echo()
    click.echo(f"cost of the call: {format_usd(cost)} USD")


@ledger.command()
@calls_options
@click.option(
    "--format",
    "form",
    type=click.Choice(frames.FORMATS),
    default="csv",
    show_default=True,
    help="Of the file.",
)
@click.option("--out", help="The file; without it, CSV and JSON lines go to stdout.")
def export(*, form: str, out: str | None, **options: Any) -> None:
    """Write entries to a file, the oldest first, all of one moment."""
    asked = Asked(**options)
    span = span_of(asked)
    count = 0
    with (
        open_database() as database,
        database.read() as session,
        frames.opened(form, out, _columns()) as writer,
    ):
        for entries in reports.stream_entries(
            session,
            where=filter_of(session, asked),
            since=span.since,
            until=span.until,
            chunk=CHUNK,
        ):
            writer.write([_named(entry) for entry in entries])
            count += len(entries)
    if out is not None:
        click.echo(f"Wrote {count:,} entries to {out}.")


def _columns() -> frames.Columns:
    """The ledger's own columns, with the call's id as callers know it, and exact dollars."""
    kinds: dict[str, frames.Kind] = {
        "seq": "integer",
        "admitted_at": "instant",
        "posted_at": "instant",
        "streamed": "boolean",
        "attempts": "json",
        "tags": "json",
    }
    whole = ("_nano", "_ms", "http_status")
    columns: dict[str, frames.Kind] = {}
    for name in reports.COLUMNS:
        is_whole = name in CLASSES or name.endswith(whole)
        kind = kinds.get(name, "integer" if is_whole else "text")
        columns["request_id" if name == "call_id" else name] = kind
        if name == "cost_nano":
            columns["cost_usd"] = "text"
    return columns


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        **entry,
        "request_id": entry["call_id"],
        "cost_usd": format_usd(entry["cost_nano"]),
    }


def _row(entry: reports.Entry) -> dict[str, Any]:
    named = _named({name: getattr(entry, name) for name in reports.COLUMNS})
    return {name: named[name] for name in _columns()}


def _print(rows: list[dict[str, Any]]) -> None:
    right = ("IN", "OUT", "COST USD")
    heads = ("REQUEST", "SEQ", "ADMITTED", "STATUS", "MODEL", "PROVIDER", "TARGET", *right)
    print_table(heads, [tuple(row[name] for name in _SHOWN) for row in rows], right=right)


def _nano(usd: str | None) -> int | None:
    try:
        return None if usd is None else parse_usd(usd)
    except ValueError as error:
        raise InvalidRequest(f"--min-cost-usd: {error}.", param="min_cost_usd") from None
