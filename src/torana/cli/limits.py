"""`torana limits`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from torana.admin import limits as admin
from torana.cli.context import open_database
from torana.cli.options import NONE, Limit, models_of, scope_options, scope_ref
from torana.cli.output import json_option, print_json, print_table


@click.group()
def limits() -> None:
    """Requests and tokens a minute, open calls, models; and suspension."""


@limits.command(name="set")
@scope_options(required=True)
@click.option("--rpm", type=Limit(), help="Requests a minute; 'none' takes the limit away.")
@click.option("--tpm", type=Limit(), help="Tokens a minute; 'none' takes the limit away.")
@click.option("--concurrency", type=Limit(), help="Open calls; 'none' takes the limit away.")
@click.option("--models", help="Comma-separated: the only models; 'none' allows all.")
@click.option("--suspend", "suspended", flag_value=True, default=None, help="Refuse all calls.")
@click.option("--resume", "suspended", flag_value=False, help="Let calls in again.")
@json_option
def set_(
    *,
    scope: str,
    scope_id: str,
    project: str | None,
    models: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Limit a scope, suspend it or resume it; at once and on every process."""
    changes = {
        name: None if value == NONE else value
        for name, value in options.items()
        if value is not None
    }
    if models is not None:
        changes["models"] = models_of(models)
    ref = scope_ref(scope, scope_id, project)
    if ref is None or not changes:
        raise click.UsageError("Say what shall be different.")
    change = msgspec.structs.replace(admin.LimitsChange(), **changes)
    with open_database() as database:
        view = admin.set_limits(database, ref, change)
    if as_json:
        print_json(view)
    else:
        _print([view])


@limits.command(name="list")
@scope_options(required=False)
@json_option
def list_(*, scope: str | None, scope_id: str | None, project: str | None, as_json: bool) -> None:
    """List what is limited or blocked."""
    ref = scope_ref(scope, scope_id, project)
    with open_database() as database:
        rows = admin.list_limits(database, ref=ref)
    if as_json:
        print_json(rows)
    else:
        _print(rows)


def _print(rows: list[admin.LimitsView]) -> None:
    print_table(
        ("SCOPE", "OF", "ID", "RPM", "TPM", "CONCURRENCY", "MODELS", "BLOCKED"),
        [
            (
                row.scope,
                row.scope_name,
                row.scope_id,
                row.rpm,
                row.tpm,
                row.concurrency,
                "all" if row.models is None else row.models,
                row.blocked,
            )
            for row in rows
        ],
    )
