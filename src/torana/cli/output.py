"""What commands print: a table for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
import msgspec

from torana.core.clock import isoformat

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """The `--json` option."""
    decorate: Callable[[F], F] = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
    )
    return decorate(function)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(msgspec.json.encode(value).decode())


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Collection[str] = (),
    total: Sequence[object] | None = None,
) -> None:
    """A table with a line of headings; numbers are set right, all else left.

    Args:
        columns: the headings.
        rows: the cells.
        right: headings of what else is set right.
        total: a last line, under a rule.
    """
    cells = [[_text(value) for value in row] for row in rows]
    last = [] if total is None else [[_text(value) for value in total]]
    widths = [
        max(len(line[index]) for line in [list(columns), *cells, *last])
        for index in range(len(columns))
    ]
    set_right = [
        name in right or (bool(rows) and all(isinstance(row[index], int) for row in rows))
        for index, name in enumerate(columns)
    ]
    rule = [["-" * width for width in widths]] if last else []
    for line in [list(columns), *cells, *rule, *last]:
        padded = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, set_right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
