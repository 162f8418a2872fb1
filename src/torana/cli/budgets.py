"""`torana budgets`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
import msgspec

from torana.admin import budgets as admin
from torana.admin.budget_views import BudgetView
from torana.cli.context import open_database
from torana.cli.options import (
    Moment,
    Usd,
    models_of,
    period_option,
    scope_options,
    scope_ref,
    window_options,
)
from torana.cli.output import json_option, print_json, print_table
from torana.core.clock import microseconds
from torana.ledger.terms import BudgetTerms


@click.group()
def budgets() -> None:
    """What keys, users, projects and others may spend."""


@budgets.command()
@scope_options(required=True)
@click.option("--amount-usd", type=Usd(), required=True, help="What may be spent in a window.")
@period_option
@window_options
@click.option("--models", help="Comma-separated: the only models that may be asked for.")
@click.option("--name", default="", help="A name for people.")
@json_option
def create(
    *,
    scope: str,
    scope_id: str,
    project: str | None,
    amount_usd: int,
    period: str | None,
    name: str,
    as_json: bool,
    **window: Any,
) -> None:
    """Make a budget; what is spent in its present window already counts."""
    ref = scope_ref(scope, scope_id, project)
    if ref is None:
        raise click.UsageError("Name a scope with --scope and --id.")
    terms = budget_terms(amount_usd, period, **window)
    with open_database() as database:
        view = admin.create_budget(database, ref, terms, name=name)
    _show("Created", view, as_json=as_json)


def budget_terms(amount_nano: int, period: str | None, **window: Any) -> BudgetTerms:
    """The terms of a new budget from its options; what was not given is left to the defaults."""
    given = {name: value for name, value in window.items() if value is not None}
    if "time_zone" in given:
        given["zone"] = given.pop("time_zone")
    if "starts_at" in given:
        given["starts_at"] = microseconds(given["starts_at"])
    if "models" in given:
        given["models"] = models_of(given["models"])
    return BudgetTerms(amount_nano=amount_nano, period=period or "month", **given)


@budgets.command(name="list")
@scope_options(required=False)
@json_option
def list_(*, scope: str | None, scope_id: str | None, project: str | None, as_json: bool) -> None:
    """List budgets with what is spent, held by open calls, and left."""
    ref = scope_ref(scope, scope_id, project)
    with open_database() as database:
        rows = admin.list_budgets(database, ref=ref)
    if as_json:
        print_json(rows)
        return
    columns = "ID NAME SCOPE OF PERIOD MODE LIMIT SPENT OPEN LEFT % UNTIL"
    print_table(columns.split(), [_line(row) for row in rows])


@budgets.command(name="set")
@click.argument("budget_id")
@click.option("--amount-usd", "amount_nano", type=Usd(), help="What may be spent in a window.")
@period_option
@window_options
@click.option("--models", help="Comma-separated: the only models; 'none' allows all.")
@click.option("--name", help="A name for people.")
@json_option
def set_(*, budget_id: str, as_json: bool, **options: Any) -> None:
    """Change a budget; another period or time zone counts its new window anew."""
    changes = {name: value for name, value in options.items() if value is not None}
    if "time_zone" in changes:
        changes["zone"] = changes.pop("time_zone")
    if "models" in changes:
        changes["models"] = models_of(changes["models"])
    if not changes:
        raise click.UsageError("Say what shall be different.")
    change = msgspec.structs.replace(admin.BudgetChange(), **changes)
    with open_database() as database:
        view = admin.update_budget(database, budget_id, change)
    _show("Changed", view, as_json=as_json)


@budgets.command(name="raise")
@click.argument("budget_id")
@click.option("--by-usd", type=Usd(), help="What is added to its amount.")
@click.option("--until", type=Moment(), help="When that ends.")
@click.option("--end", is_flag=True, help="End a raise now.")
@json_option
def raise_(
    *, budget_id: str, by_usd: int | None, until: datetime | None, end: bool, as_json: bool
) -> None:
    """Add to a budget for a while; the raise ends by itself."""
    if end == (by_usd is not None):
        raise click.UsageError("Give --by-usd and --until, or --end.")
    with open_database() as database:
        view = admin.raise_budget(database, budget_id, amount_nano=by_usd or 0, until=until)
    _show("Changed", view, as_json=as_json)


@budgets.command()
@click.argument("budget_id")
@json_option
def delete(*, budget_id: str, as_json: bool) -> None:
    """Delete a budget; the ledger keeps what was spent."""
    with open_database() as database:
        view = admin.delete_budget(database, budget_id)
    _show("Deleted", view, as_json=as_json)


@budgets.command()
@click.argument("budget_id", required=False)
@json_option
def events(*, budget_id: str | None, as_json: bool) -> None:
    """List the thresholds that were reached, newest first."""
    with open_database() as database:
        rows = admin.budget_events(database, budget_id)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("WHEN", "BUDGET", "SCOPE", "OF", "%", "SPENT", "LIMIT"),
        [
            (
                row.happened_at,
                row.budget_id,
                row.scope,
                row.scope_name,
                row.percent,
                row.spent_usd,
                row.limit_usd,
            )
            for row in rows
        ],
    )


def _line(row: BudgetView) -> tuple[object, ...]:
    window = row.window
    period = f"{row.interval_seconds} s" if row.period == "interval" else row.period
    about = (row.id, row.name or None, row.scope, row.scope_name, period, row.mode)
    if window is None:
        return (*about, row.amount_usd, None, None, None, None, "of each")
    return (
        *about,
        window.limit_usd,
        window.spent_usd,
        window.reserved_usd,
        window.remaining_usd,
        window.percent,
        window.end or "for ever",
    )


def _show(what: str, view: BudgetView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    line = f"{what} {view.id} of the {view.scope} {view.scope_name}"
    window = view.window
    if window is None:
        click.echo(f"{line}: {view.amount_usd} USD each.")
        return
    click.echo(
        f"{line}: {window.spent_usd} of {window.limit_usd} USD spent, "
        f"{window.reserved_usd} held by {window.open_calls} open calls."
    )
