"""`torana db`: migrations."""

from __future__ import annotations

import sys

import click

from torana.admin import bootstrap
from torana.cli.output import json_option, print_json
from torana.db import migrate
from torana.db.session import COMMAND_PATIENCE_SECONDS, Database
from torana.processes.folders import make_private
from torana.settings import load_settings


@click.group()
def db() -> None:
    """Bring the database to this version's schema."""


@db.command()
@json_option
def upgrade(*, as_json: bool) -> None:
    """Run the migrations, and make the organisation and project `default` on first use."""
    settings = load_settings()
    if settings.database_url is None:
        make_private(settings.data_dir.absolute())
    database = Database(settings.resolved_database_url, patience=COMMAND_PATIENCE_SECONDS)
    try:
        done = bootstrap.prepare(database)
    finally:
        database.dispose()
    if as_json:
        print_json(done)
        return
    changed = "" if done.before == done.now else f", was {done.before or 'empty'}"
    click.echo(f"The database is at revision {done.now}{changed}.")
    if done.created_defaults:
        click.echo("Created the organisation 'default' and its project 'default'.")


@db.command()
@json_option
def check(*, as_json: bool) -> None:
    """Tell whether the database is at this version's schema; exit status 1 if not."""
    database = Database(load_settings().resolved_database_url, patience=COMMAND_PATIENCE_SECONDS)
    try:
        now = migrate.current(database) if database.exists() else None
        needed = migrate.head()
    finally:
        database.dispose()
    if as_json:
        print_json({"now": now, "needed": needed})
    else:
        click.echo(f"The database is at revision {now or 'none'}; this version needs {needed}.")
    if now != needed:
        sys.exit(1)
