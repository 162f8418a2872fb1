"""`torana providers keys` and `torana providers rotate-keys`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from torana.admin import provider_keys as admin
from torana.admin.providers import FIRST_LABEL
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.cli.provider_secrets import key_options, read_secret, secret_box, secret_keys
from torana.settings import load_settings


@click.group()
def keys() -> None:
    """The keys of providers; what they are is never shown."""


@keys.command(name="list")
@click.argument("provider", required=False)
@json_option
def list_(*, provider: str | None, as_json: bool) -> None:
    """List the keys of one provider, or of all."""
    with open_database() as database:
        rows = admin.list_keys(database, provider)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("PROVIDER", "LABEL", "ID", "CREATED"),
            [(row.provider, row.label, row.id, row.created_at) for row in rows],
        )


@keys.command()
@click.argument("provider")
@click.option("--label", default=FIRST_LABEL, show_default=True, help="What people call it.")
@key_options
@json_option
def add(
    *,
    provider: str,
    label: str,
    api_key_stdin: bool,
    api_key_env: str | None,
    api_key_file: Path | None,
    as_json: bool,
) -> None:
    """Give a provider another key."""
    settings = load_settings()
    secret = read_secret(
        api_key_stdin=api_key_stdin, api_key_env=api_key_env, api_key_file=api_key_file
    )
    if secret is None:
        raise click.UsageError("Say where the key is: --api-key-stdin, -env or -file.")
    with open_database(settings) as database:
        view = admin.add_key(database, secret_box(settings), provider, label=label, secret=secret)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Added the key {view.label} of {view.provider}: {view.id}")


@keys.command()
@click.argument("provider")
@click.argument("key", metavar="LABEL|ID")
@json_option
def remove(*, provider: str, key: str, as_json: bool) -> None:
    """Take a key away from a provider."""
    with open_database() as database:
        view = admin.remove_key(database, provider, key)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Removed the key {view.label} of {view.provider}.")


@click.command(name="rotate-keys")
@json_option
def rotate_keys(*, as_json: bool) -> None:
    """Encrypt the keys of all providers with the newest of TORANA_SECRET_KEYS.

    Every process must know the newest secret before: put it first, restart, then rotate, and only
    then take the old one away. The exit status is 1 when a key can't be read with any of them.
    """
    settings = load_settings()
    with open_database(settings) as database:
        rotation = admin.rotate_keys(database, secret_keys(settings))
    if as_json:
        print_json(rotation)
    else:
        click.echo(f"Encrypted anew: {rotation.rotated}. Already so: {rotation.current}.")
    for view in rotation.unreadable:
        click.echo(
            f"The key {view.label} ({view.id}) of {view.provider} can't be read with the present "
            "TORANA_SECRET_KEYS. Set the older secret too, or remove the key and add it again.",
            err=True,
        )
    if rotation.unreadable:
        sys.exit(1)
