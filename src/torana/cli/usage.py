"""`torana usage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from torana.cli import frames
from torana.cli.asked import Asked, calls_options, filter_of, span_of
from torana.cli.context import open_database
from torana.cli.output import print_json, print_table
from torana.core.money import NANO_PER_USD, format_usd
from torana.errors import InvalidRequest
from torana.ledger import reports

_FORMATS = ("table", "json", *frames.FORMATS)
_COUNTS = tuple(name for name in reports.FIGURES if name != "cost_nano")


class _Group(click.ParamType[str]):
    """A name of `reports.GROUPS`, or `tag:NAME`."""

    name = "group"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it."""
        if value in reports.GROUPS or (value.startswith(reports.TAG) and value != reports.TAG):
            return value
        known = ", ".join(reports.GROUPS)
        return self.fail(f"{value!r} is not one of {known} or tag:NAME", param, ctx)


@click.command()
@click.option(
    "--by",
    "group_by",
    multiple=True,
    type=_Group(),
    default=("model",),
    show_default=True,
    help=f"What to sum by: {', '.join(reports.GROUPS)} or tag:NAME; repeat it for several.",
)
@calls_options
@click.option("--compare", is_flag=True, help="Beside the period of the same kind before it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="How to print it.",
)
@click.option("--out", help="Write it to this file.")
def usage(
    *, group_by: tuple[str, ...], compare: bool, form: str, out: str | None, **options: Any
) -> None:
    """Show what was spent, on what."""
    asked = Asked(**options)
    span = span_of(asked)
    if compare and span.period is None:
        raise InvalidRequest("--compare needs --period, or --since and a later --until.")
    if out is not None and form in {"table", "json"}:
        raise InvalidRequest(
            f"--out does not go with --format {form}.", hint="Use csv, jsonl or parquet."
        )
    previous = span.period.previous() if compare and span.period is not None else None
    with open_database() as database, database.read() as session:
        rows = reports.usage(
            session,
            group_by=group_by,
            where=filter_of(session, asked),
            since=span.since,
            until=span.until,
            zone=span.zone,
            previous=previous,
        )
    if form == "table":
        _print(tuple(dict.fromkeys(group_by)), rows, span, previous)
    elif form == "json":
        print_json([_flat(row) for row in rows])
    else:
        with frames.opened(form, out, _columns(group_by, compared=compare)) as writer:
            writer.write([_flat(row) for row in rows])


def _flat(row: reports.UsageRow) -> dict[str, Any]:
    flat: dict[str, Any] = {**row.group, **row.names}
    flat |= {name: getattr(row, name) for name in reports.FIGURES}
    flat["cost_usd"] = format_usd(row.cost_nano)
    if row.previous is not None and row.change_nano is not None:
        flat |= {f"previous_{name}": getattr(row.previous, name) for name in reports.FIGURES}
        flat["previous_cost_usd"] = format_usd(row.previous.cost_nano)
        flat["change_nano"] = row.change_nano
        flat["change_usd"] = format_usd(row.change_nano)
        flat["change_percent"] = row.change_percent
    return flat


def _columns(group_by: Sequence[str], *, compared: bool) -> frames.Columns:
    columns: dict[str, frames.Kind] = dict.fromkeys(group_by, "text")
    columns |= {reports.NAMED[name]: "text" for name in reports.NAMED if name in columns}
    columns |= dict.fromkeys(reports.FIGURES, "integer")
    columns["cost_usd"] = "text"
    if compared:
        columns |= {f"previous_{name}": "integer" for name in reports.FIGURES}
        columns |= {"previous_cost_usd": "text", "change_nano": "integer", "change_usd": "text"}
        columns["change_percent"] = "text"
    return columns


# --- for people --------------------------------------------------------------------------------


def _print(
    group_by: tuple[str, ...],
    rows: Sequence[reports.UsageRow],
    span: reports.Span,
    previous: reports.Period | None,
) -> None:
    head = [name.upper() for name in group_by]
    figures = ["CALLS", "IN", "OUT", "COST USD"]
    if previous is not None:
        figures += ["BEFORE USD", "CHANGE USD", "%"]
        click.echo(f"{_told(span.period)}, beside {_told(previous)}\n")
    total = reports.total_of(rows)
    money = _aligned([value for row in (*rows, total) for value in _money(row)])
    width = len(_money(total))
    lines = [
        [
            *(_name(row, name) for name in group_by),
            *(f"{getattr(row, name):,}" for name in ("calls", "input_tokens", "output_tokens")),
            *money[place * width : (place + 1) * width],
            *([row.change_percent or "-"] if previous is not None else []),
        ]
        for place, row in enumerate((*rows, total))
    ]
    if not group_by:
        print_table(figures, lines[-1:], right=figures)
        return
    lines[-1][: len(group_by)] = ["TOTAL", *[""] * (len(group_by) - 1)]
    print_table([*head, *figures], lines[:-1], right=figures, total=lines[-1])


def _told(period: reports.Period | None) -> str:
    if period is None:
        return "all time"
    start, end = (end.astimezone(period.zone) for end in (period.start, period.end))
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {period.zone.key}"


def _name(row: reports.UsageRow, group: str) -> str | None:
    """What people call it; its id where it has no name any more."""
    return row.names.get(reports.NAMED.get(group, "")) or row.group.get(group)


def _money(row: reports.UsageRow) -> list[int]:
    if row.previous is None or row.change_nano is None:
        return [row.cost_nano]
    return [row.cost_nano, row.previous.cost_nano, row.change_nano]


def _aligned(amounts: Sequence[int]) -> list[str]:
    """Exact dollars with as many decimals as the longest of them, at least two."""
    digits = max((len(format_usd(nano).partition(".")[2]) for nano in amounts), default=0)
    texts = []
    for nano in amounts:
        whole, fraction = divmod(abs(nano), NANO_PER_USD)
        sign = "-" if nano < 0 else ""
        texts.append(f"{sign}{whole:,}.{f'{fraction:09d}'[: max(digits, 2)]}")
    return texts
