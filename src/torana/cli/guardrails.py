"""`torana guardrails`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

from torana.admin import guardrails as admin
from torana.cli.context import open_database
from torana.cli.options import models_of
from torana.cli.output import json_option, print_json, print_table
from torana.guardrails.registry import installed
from torana.guardrails.terms import WHERES

F = TypeVar("F", bound=Callable[..., Any])
_TEXT_LIMIT = 10_000_000
"""Characters of a text to try."""


class _Options(click.ParamType[dict[str, Any]]):
    """The options of a kind, as a JSON object."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Read an object such as {"words": ["secret"]}."""
        if isinstance(value, dict):
            return value
        try:
            read = orjson.loads(value)
        except orjson.JSONDecodeError:
            read = None
        if not isinstance(read, dict):
            self.fail(f'{value!r} is no JSON object like {{"words": ["secret"]}}.', param, ctx)
        return read


def terms_options(function: F) -> F:
    """For which calls a guardrail is, and how it behaves."""
    for option in (
        click.option("--options", type=_Options(), help="Options of its kind, as a JSON object."),
        click.option(
            "--order", type=int, help="Smaller numbers see a prompt first, and its answer last."
        ),
        click.option("--where", type=click.Choice(WHERES), help="What it looks at."),
        click.option("--projects", help="Comma-separated: the only projects; 'none' is for all."),
        click.option(
            "--models", help="Comma-separated: the only models, 'gpt-4*' for a beginning."
        ),
    ):
        function = option(function)
    return function


@click.group()
def guardrails() -> None:
    """What judges and changes prompts and answers."""


@guardrails.command()
@click.argument("name")
@click.option("--kind", required=True, help="blocked_patterns, mask or that of a plugin.")
@terms_options
@click.option("--disabled", is_flag=True, help="Add it without putting it to work.")
@json_option
def add(*, name: str, kind: str, disabled: bool, as_json: bool, **options: Any) -> None:
    """Add a guardrail; every process works by it within a second."""
    new = admin.NewGuardrail(name=name, kind=kind, enabled=not disabled, **_given(options))
    with open_database() as database:
        view = admin.add_guardrail(database, new)
    _show("Added", view, as_json=as_json)


@guardrails.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List guardrails, in the order in which they see a prompt."""
    with open_database() as database:
        rows = admin.list_guardrails(database)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "KIND", "ENABLED", "WHERE", "ORDER", "MODELS", "PROJECTS", "OPTIONS"),
        [
            (
                row.name,
                row.kind,
                "yes" if row.enabled else "no",
                row.where,
                row.order,
                row.models or "all",
                row.projects or "all",
                orjson.dumps(row.options).decode(),
            )
            for row in rows
        ],
    )


@guardrails.command()
@json_option
def kinds(*, as_json: bool) -> None:
    """List the kinds that there are, those of installed plugins too."""
    names = installed().names
    if as_json:
        print_json(names)
    else:
        print_table(("KIND",), [(name,) for name in names])


@guardrails.command(name="set")
@click.argument("name")
@terms_options
@click.option("--enable/--disable", "enabled", default=None, help="Put it to work or not.")
@json_option
def set_(*, name: str, enabled: bool | None, as_json: bool, **options: Any) -> None:
    """Change a guardrail; --options replaces all of its options."""
    given = _given(options)
    if enabled is not None:
        given["enabled"] = enabled
    if not given:
        raise click.UsageError("Say what shall be different.")
    with open_database() as database:
        view = admin.update_guardrail(database, name, admin.GuardrailChange(**given))
    _show("Changed", view, as_json=as_json)


@guardrails.command()
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Remove a guardrail."""
    with open_database() as database:
        view = admin.remove_guardrail(database, name)
    _show("Removed", view, as_json=as_json)


@guardrails.command()
@click.option("--model", required=True, help="The model that would be asked.")
@click.option("--project", help="The project that would ask; without it, none.")
@json_option
def test(*, model: str, project: str | None, as_json: bool) -> None:
    """Show what the guardrails of a model do with a text from standard input."""
    text = sys.stdin.read(_TEXT_LIMIT)
    with open_database() as database:
        view = admin.try_guardrails(database, text, model=model, project=project)
    if as_json:
        print_json(view)
        return
    if not view.outcomes:
        click.echo(f"{model} has no guardrails: all passes as it is.")
        return
    print_table(("GUARDRAIL", "OUTCOME"), list(view.outcomes.items()))
    if view.prompt is not None:
        click.echo(f"\nTo the model:\n{view.prompt}")
    if view.answer is not None:
        click.echo(f"\nTo the caller, if the model repeats it:\n{view.answer}")
    if view.blocked is not None:
        click.echo(f"\n{view.blocked}")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    for name in ("models", "projects"):
        if name in given:
            given[name] = models_of(given[name])
    return given


def _show(what: str, view: admin.GuardrailView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    models = "all models" if view.models is None else ", ".join(view.models)
    sides = "prompts and answers" if view.where == "both" else f"{view.where}s"
    state = "" if view.enabled else ", disabled"
    click.echo(f"{what} {view.name}: {view.kind} on {sides} of {models}{state}.")
