"""`torana providers`."""

from __future__ import annotations

import sys

import click

from torana.admin import providers as admin
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.secret_box import SecretBox, load_or_make
from torana.settings import Settings, load_settings


@click.group()
def providers() -> None:
    """Upstreams besides the built-in ones."""


@providers.command()
@click.argument("name")
@click.option("--base-url", required=True, help="Up to and with the version: https://host/v1.")
@click.option(
    "--kind",
    type=click.Choice(admin.KINDS),
    default="compatible",
    show_default=True,
    help="Whose API it speaks: OpenAI's chat alone, or all of OpenAI's or Anthropic's.",
)
@click.option("--api-key-stdin", is_flag=True, help="Read its API key from standard input.")
@json_option
def add(*, name: str, base_url: str, kind: str, api_key_stdin: bool, as_json: bool) -> None:
    """Add a provider; its models are then called NAME/model."""
    settings = load_settings()
    key = sys.stdin.readline().strip() if api_key_stdin else None
    with open_database(settings) as database:
        view = admin.add_provider(
            database, _box(settings), name=name, base_url=base_url, api_key=key, kind=kind
        )
    if as_json:
        print_json(view)
    else:
        click.echo(f"Added {view.name}. Call its models as {view.name}/MODEL.")


@providers.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the providers that were added."""
    with open_database() as database:
        rows = admin.list_providers(database)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("NAME", "KIND", "BASE URL", "KEY", "ENABLED"),
            [
                (
                    row.name,
                    row.kind,
                    row.base_url,
                    "yes" if row.has_key else "no",
                    "yes" if row.enabled else "no",
                )
                for row in rows
            ],
        )


def _box(settings: Settings) -> SecretBox:
    keys = settings.secret_keys or (load_or_make(settings.data_dir),)
    return SecretBox(keys, admin.PURPOSE)
