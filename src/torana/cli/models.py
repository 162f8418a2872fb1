"""`torana models`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from torana.admin import suspensions
from torana.cli.client import Client
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.cli.route_explain import explain
from torana.cli.route_health import health
from torana.cli.route_set import remove, route, routes
from torana.errors import InvalidRequest
from torana.settings import load_settings

_key_option = click.option(
    "--key", envvar="TORANA_API_KEY", help="An API key; or set TORANA_API_KEY."
)


@click.group()
def models() -> None:
    """What may be called, and where it leads."""


for command in (route, routes, remove, health, explain):
    models.add_command(command)


@models.command(name="list")
@_key_option
@json_option
def list_(*, key: str | None, as_json: bool) -> None:
    """List the models of the running service, with their prices."""
    rows = Client(load_settings(), key).get("/api/models")["data"]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("NAME", "PROVIDER", "MODEL", "TARGETS", "USD/M IN", "USD/M OUT", "SUSPENDED"),
            [
                (
                    row["name"],
                    row["provider"],
                    row["target_model"],
                    len(row["targets"]),
                    row["input_usd_per_million"],
                    row["output_usd_per_million"],
                    "yes" if row["suspended"] else "no",
                )
                for row in rows
            ],
        )


@models.command()
@click.argument("name", metavar="PROVIDER/MODEL|NAME")
@_key_option
@json_option
def show(*, name: str, key: str | None, as_json: bool) -> None:
    """Show what is known of a model: where it leads, its limits, its price."""
    row = Client(load_settings(), key).get(f"/api/models/{quote(name, safe='/')}")
    if as_json:
        print_json(row)
        return
    print_table(("", ""), _lines(row))
    if len(row["targets"]) > 1:
        click.echo()
        print_table(
            ("TARGET", "PRIORITY", "WEIGHT", "REGION", "USD/M IN", "USD/M OUT", "SUSPENDED"),
            [
                (
                    f"{target['provider']}/{target['model']}",
                    target["priority"],
                    target["weight"],
                    target["region"],
                    target["input_usd_per_million"],
                    target["output_usd_per_million"],
                    "yes" if target["suspended"] else "no",
                )
                for target in row["targets"]
            ],
        )


@models.command()
@click.argument("target", metavar="PROVIDER/MODEL")
@json_option
def resume(*, target: str, as_json: bool) -> None:
    """Open a suspended model to hard budgets again."""
    provider, slash, model = target.partition("/")
    if not slash:
        raise InvalidRequest("Name the model as PROVIDER/MODEL.", param="model")
    with open_database() as database:
        view = suspensions.resume(database, provider=provider, model=model)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Resumed {provider}/{model}. It was suspended by the call {view.call_id}.")


def _lines(row: dict[str, Any]) -> list[tuple[str, object]]:
    """What a person reads, line by line."""
    lines: list[tuple[str, object]] = [
        ("name", row["name"]),
        ("provider", row["provider"]),
        ("model", row["target_model"]),
        ("strategy", row["strategy"]),
        ("context window", row["context_window"]),
        ("maximum output", row["max_output_tokens"]),
        ("reads", row["inputs"]),
        ("writes", row["outputs"]),
        ("suspended", "yes" if row["suspended"] else "no"),
    ]
    price = row["price"]
    if price is None:
        return [*lines, ("price", "none")]
    lines.append(("price", price["price_id"]))
    lines += _amounts("", price["usd"])
    for tier in price["tiers"]:
        lines += _amounts(f"above {tier['above']}: ", tier["usd"])
    return [*lines, ("batch", f"{price['batch_percent']} percent")]


def _amounts(prefix: str, usd: dict[str, str]) -> list[tuple[str, object]]:
    units = {"image": "USD per image", "request": "USD per call"}
    return [
        (f"{prefix}{name.replace('_', ' ')}", f"{amount} {units.get(name, 'USD/M tokens')}")
        for name, amount in usd.items()
        if amount != "0" or name not in units
    ]
