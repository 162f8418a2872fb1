"""`torana models`."""

from __future__ import annotations

import click

from torana.cli.client import Client
from torana.cli.output import json_option, print_json, print_table
from torana.settings import load_settings


@click.group()
def models() -> None:
    """What may be called."""


@models.command(name="list")
@click.option("--key", envvar="TORANA_API_KEY", help="An API key; or set TORANA_API_KEY.")
@json_option
def list_(*, key: str | None, as_json: bool) -> None:
    """List the models of the running service, with their prices."""
    rows = Client(load_settings(), key).get("/api/models")["data"]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("NAME", "PROVIDER", "MODEL", "USD/M IN", "USD/M OUT"),
            [
                (
                    row["name"],
                    row["provider"],
                    row["target_model"],
                    row["input_usd_per_million"],
                    row["output_usd_per_million"],
                )
                for row in rows
            ],
        )
