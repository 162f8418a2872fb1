"""`torana apply`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from torana.admin.apply.applying import Outcome, apply_document
from torana.admin.apply.difference import Change, Difference
from torana.admin.apply.document import SIZE_LIMIT, read_document
from torana.admin.apply.secrets import Sources
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json
from torana.cli.provider_secrets import secret_box
from torana.errors import InvalidRequest, ValidationFailed
from torana.settings import environment_value, load_settings

STDIN = "-"
DIFFERS = 2
"""The exit status that says that a dry run has found differences."""
_WIDE = 100


@click.command()
@click.argument("file", metavar="FILE.toml")
@click.option("--dry-run", is_flag=True, help="Change nothing, show what would change.")
@click.option(
    "--exit-code",
    is_flag=True,
    help="With --dry-run: end with status 2 when something would change.",
)
@json_option
def apply(*, file: str, dry_run: bool, exit_code: bool, as_json: bool) -> None:
    """Make the configuration as a file says: all of it or nothing.

    FILE.toml may be - for standard input. docs/apply.md has the format.
    """
    if exit_code and not dry_run:
        raise click.UsageError("--exit-code goes with --dry-run.")
    settings = load_settings()
    name, content, folder = _read(file)
    try:
        document = read_document(content, name)
        with open_database(settings) as database:
            outcome = apply_document(
                database,
                secret_box(settings),
                document,
                Sources(environment_value, folder),
                dry_run=dry_run,
            )
    except ValidationFailed as error:
        for problem in error.problems:
            click.echo(f"{problem['field']}: {problem['message']}", err=True)
        click.echo(f"torana: {error.public_message}", err=True)
        sys.exit(1)
    if as_json:
        print_json(
            {
                "applied": outcome.applied,
                "dry_run": dry_run,
                "changes": outcome.changes,
                "unchanged": outcome.unchanged,
            }
        )
    else:
        _show(outcome, dry_run=dry_run)
    if exit_code and outcome.changes:
        sys.exit(DIFFERS)


def _read(file: str) -> tuple[str, bytes, Path]:
    """What the file is called, its bytes, and where relative paths in it begin."""
    if file == STDIN:
        return "<stdin>", sys.stdin.buffer.read(SIZE_LIMIT + 1), Path()
    path = Path(file)
    try:
        with path.open("rb") as opened:
            return file, opened.read(SIZE_LIMIT + 1), path.parent
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "there is no such name"
        raise InvalidRequest(f"{file} can't be read: {reason}.", param="file") from None


def _show(outcome: Outcome, *, dry_run: bool) -> None:
    if not outcome.changes:
        click.echo(f"Nothing to change: {_entries(outcome.unchanged)} as the file says.")
        return
    for change in outcome.changes:
        _show_change(change)
    if outcome.unchanged:
        click.echo(f"= {outcome.unchanged} unchanged")
    actions = [change.action for change in outcome.changes]
    counts = (
        f"{actions.count('add')} to add, {actions.count('change')} to change"
        if dry_run
        else f"{actions.count('add')} added, {actions.count('change')} changed"
    )
    tail = " Nothing was written: this is a dry run." if dry_run else ""
    click.echo(f"{counts}, {outcome.unchanged} unchanged.{tail}")


def _show_change(change: Change) -> None:
    """One line when it fits, else a line for each difference."""
    if change.action == "add":
        about = f" ({change.about})" if change.about else ""
        click.echo(f"+ {change.kind} {change.name}{about}")
        return
    lines = [_in_words(each) for each in change.differences]
    line = f"~ {change.kind} {change.name}: {'; '.join(lines)}"
    if len(lines) == 1 or len(line) <= _WIDE:
        click.echo(line)
        return
    click.echo(f"~ {change.kind} {change.name}")
    for each in lines:
        click.echo(f"    {each}")


def _in_words(difference: Difference) -> str:
    if difference.before is None:
        return f"{difference.what} {difference.after}"
    return f"{difference.what} {difference.before} -> {difference.after}"


def _entries(count: int) -> str:
    return "1 entry is" if count == 1 else f"{count} entries are"
