"""Options that several commands share, and how what is typed becomes a value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from torana.admin.scopes import KINDS, ScopeRef
from torana.core.money import parse_usd
from torana.ledger.windows import MODES, period_names

F = TypeVar("F", bound=Callable[..., Any])
NONE = "none"
"""What is typed to take a limit or a list away."""


class Usd(click.ParamType[int]):
    """Dollars as a person types them; the value is nano-dollars."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read an amount such as 5 or 0.25."""
        if isinstance(value, int):
            return value
        try:
            return parse_usd(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class Moment(click.ParamType[datetime]):
    """An instant in ISO 8601; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read an instant such as 2026-12-01T00:00:00Z or 2026-12-01."""
        if isinstance(value, datetime):
            return value
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time like 2026-12-01T00:00:00Z.", param, ctx)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


class Limit(click.ParamType[int | str]):
    """A whole number, or `none` to take a limit away."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Read a number."""
        if isinstance(value, int) or value == NONE:
            return value  # type: ignore[no-any-return]
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {NONE!r}.", param, ctx)


class Percents(click.ParamType[tuple[int, ...]]):
    """Percents, separated by commas; `none` for no thresholds."""

    name = "percents"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read a list such as 50,80,100."""
        if isinstance(value, tuple):
            return value
        if value == NONE:
            return ()
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of percents like 50,80,100.", param, ctx)


def scope_options(*, required: bool) -> Callable[[F], F]:
    """`--scope`, `--id` and `--project`."""
    kinds = [kind.replace("_", "-") for kind in KINDS]

    def decorate(function: F) -> F:
        for option in (
            click.option("--project", help="Of an end user, a tag or a key: the project it is in."),
            click.option(
                "--id",
                "scope_id",
                required=required,
                help="Id or name; of a user the e-mail, of a tag NAME=VALUE; '*' for each.",
            ),
            click.option(
                "--scope", type=click.Choice(kinds), required=required, help="Whose it is."
            ),
        ):
            function = option(function)
        return function

    return decorate


def scope_ref(scope: str | None, scope_id: str | None, project: str | None) -> ScopeRef | None:
    """The scope of the options, if one was named.

    Raises:
        UsageError: only a part of it was.
    """
    if scope is None and scope_id is None and project is None:
        return None
    if scope is None or scope_id is None:
        raise click.UsageError("Name a scope with both --scope and --id.")
    return ScopeRef(kind=scope, id=scope_id, project=project)


def window_options(function: F) -> F:
    """What a budget's windows are like, besides its amount and its period."""
    for option in (
        click.option("--starts-at", type=Moment(), help="When an interval or a total begins."),
        click.option("--interval-seconds", type=int, help="Length of the period 'interval'."),
        click.option("--time-zone", help="IANA zone of its midnights; UTC unless given."),
        click.option(
            "--mode",
            type=click.Choice(MODES),
            help="What becomes of a call that does not fit: refused, or its output clamped.",
        ),
        click.option(
            "--thresholds",
            type=Percents(),
            help="Percents at which events are written; 50,80,100 unless given.",
        ),
    ):
        function = option(function)
    return function


def period_option(function: F) -> F:
    """`--period`."""
    decorate: Callable[[F], F] = click.option(
        "--period", type=click.Choice(period_names()), help="How long a window is."
    )
    return decorate(function)


def models_of(text: str | None) -> tuple[str, ...] | None:
    """A list of models as it is typed; None for all."""
    if text is None or text == NONE:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())
