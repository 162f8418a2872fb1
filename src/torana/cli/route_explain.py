"""`torana models explain`: where a call would go, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from torana.cli.client import Client
from torana.cli.output import json_option, print_json, print_table
from torana.errors import InvalidRequest
from torana.routing.routes import DIALECTS
from torana.settings import load_settings

_SIMPLE = {
    "chat": b'{"messages":[{"role":"user","content":"hello"}]}',
    "responses": b'{"input":"hello"}',
    "completions": b'{"prompt":"hello"}',
    "embeddings": b'{"input":"hello"}',
    "messages": b'{"max_tokens":100,"messages":[{"role":"user","content":"hello"}]}',
}
"""A call of each dialect that nothing is peculiar about."""


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--body",
    "file",
    metavar="FILE",
    help="The request as JSON, '-' for standard input; a short one when left out.",
)
@click.option(
    "--dialect",
    type=click.Choice(tuple(_SIMPLE)),
    default="chat",
    show_default=True,
    help="Which API the request is for.",
)
@click.option("--region", help="As the caller's x-torana-region.")
@click.option("--key", envvar="TORANA_API_KEY", help="An API key; or set TORANA_API_KEY.")
@json_option
def explain(
    *,
    name: str,
    file: str | None,
    dialect: str,
    region: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Show where a call for a model would go now, and why. Nothing is sent or charged."""
    body = _SIMPLE[dialect] if file is None else _read(file)
    path = f"/api/models/{quote(name, safe='/')}/explain?dialect={dialect}"
    headers = {} if region is None else {"x-torana-region": region}
    found = Client(load_settings(), key).post(path, body, headers=headers)
    if as_json:
        print_json(found)
        return
    sticky = ", sticky" if found["sticky"] else ""
    click.echo(f"{found['route']} ({found['strategy']}{sticky})")
    if found["chosen"]:
        click.echo()
        print_table(
            ("ORDER", "TARGET", "PRIORITY", "BECAUSE", "STATE", "AT MOST USD", "AS", "LOST"),
            [_cells(place, row) for place, row in enumerate(found["chosen"], start=1)],
            right=("AT MOST USD",),
        )
    else:
        click.echo("No target takes this call.")
    if found["skipped"]:
        click.echo()
        print_table(
            ("NOT ASKED", "BECAUSE"),
            [(f"{row['provider']}/{row['model']}", row["reason"]) for row in found["skipped"]],
        )


def _cells(place: int, row: dict[str, Any]) -> tuple[object, ...]:
    state = row["state"]
    if row["wait_seconds"] > 0:
        state += f" for {row['wait_seconds']:.1f} s"
    return (
        place,
        f"{row['provider']}/{row['model']}",
        row["priority"],
        row["reason"],
        state,
        row["bound_usd"],
        DIALECTS.get(row["dialect"], row["dialect"]),
        ", ".join(row["lost"]) or None,
    )


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{file} can't be read: {error.strerror}.", param="body") from None
