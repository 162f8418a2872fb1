"""`torana users`."""

from __future__ import annotations

import sys

import click

from torana.admin import tenancy
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table


@click.group()
def users() -> None:
    """People and their roles."""


@users.command()
@click.option("--email", required=True, help="The person's address; it is also the login.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--role",
    type=click.Choice(tenancy.ROLES),
    default="member",
    show_default=True,
    help="Role in the organisation.",
)
@json_option
def create(*, email: str, password_stdin: bool, role: str, as_json: bool) -> None:
    """Add a person."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with open_database() as database:
        user = tenancy.create_user(database, email=email, password=password, role=role)
    if as_json:
        print_json(user)
    else:
        click.echo(f"Created {user.email} with the role {user.role} ({user.id}).")


@users.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List people."""
    with open_database() as database:
        rows = tenancy.list_users(database)
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("ID", "EMAIL", "ROLE", "CREATED"),
            [(row.id, row.email, row.role, row.created_at) for row in rows],
        )
