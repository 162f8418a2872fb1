"""`torana models health`: the targets as the running service sees them."""

from __future__ import annotations

from typing import Any

import click

from torana.cli.client import Client
from torana.cli.output import json_option, print_json, print_table
from torana.settings import load_settings

_TOLD = {
    "closed": "calls pass",
    "open": "no call passes",
    "half_open": "one call tries",
    "cooling": "it asked for patience",
}


@click.command()
@click.option("--key", envvar="TORANA_API_KEY", help="An API key; or set TORANA_API_KEY.")
@json_option
def health(*, key: str | None, as_json: bool) -> None:
    """Show how the targets of the running service are.

    One process answers: latencies and open calls are its own; what closes a target to calls it
    hears from the others too.
    """
    rows = Client(load_settings(), key).get("/api/models/health")["data"]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("No target was called lately.")
        return
    print_table(
        ("TARGET", "STATE", "MEANING", "FAILED", "LATENCY", "STREAMS", "OPEN CALLS"),
        [_cells(row) for row in rows],
        right=("FAILED", "LATENCY", "STREAMS"),
    )


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    meaning = _TOLD.get(row["state"], row["state"])
    if row["wait_seconds"] > 0:
        meaning += f" for {row['wait_seconds']:.1f} s"
    if row["reason"]:
        meaning += f" ({row['reason']})"
    return (
        f"{row['provider']}/{row['model']}",
        row["state"],
        meaning,
        f"{row['recent_failures']} of {row['recent_outcomes']}",
        _milliseconds(row["latency_ms"]),
        _milliseconds(row["stream_latency_ms"]),
        row["open_calls"],
    )


def _milliseconds(value: int | None) -> str | None:
    return None if value is None else f"{value} ms"
