"""`torana providers allow-host`, `disallow-host` and `hosts`: who may be at a private address.

Only whoever has the machine may decide this; there is no way through the API.
"""

from __future__ import annotations

import click

from torana.admin import allowed_hosts as admin
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table


@click.command(name="allow-host")
@click.argument("host")
@json_option
def allow_host(*, host: str, as_json: bool) -> None:
    """Let providers be at HOST although its address is private.

    HOST is a name or an address, as it stands in the base URL; its port does not matter.
    """
    with open_database() as database:
        view = admin.allow_host(database, host)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Providers may be at {view.host}.")


@click.command(name="disallow-host")
@click.argument("host")
@json_option
def disallow_host(*, host: str, as_json: bool) -> None:
    """Take the permission back: providers at HOST are not called if its address is private."""
    with open_database() as database:
        view = admin.disallow_host(database, host)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Providers may not be at {view.host} any more, if its address is private.")


@click.command(name="hosts")
@json_option
def list_hosts(*, as_json: bool) -> None:
    """List the hosts that are allowed."""
    with open_database() as database:
        rows = admin.list_allowed_hosts(database)
    if as_json:
        print_json(rows)
    else:
        print_table(("HOST", "SINCE"), [(row.host, row.created_at) for row in rows])
