"""`torana models route`, `remove` and `routes`: the rows behind the names of models."""

from __future__ import annotations

from typing import Any, Literal

import click
import msgspec

from torana.admin import routes as admin
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.errors import InvalidRequest
from torana.routing.routes import (
    STRATEGIES,
    CacheScope,
    CacheTerms,
    Deadlines,
    Route,
    RouteTarget,
    Strategy,
    When,
)
from torana.settings import load_settings

_WHOLE = ("priority", "weight", "max_output")
_WHOLE_WHEN = ("min_input_tokens", "max_input_tokens")
_YES_NO = ("tools", "images")
_WORDS = {"yes": True, "no": False}
_KNOWN = ("priority", "weight", "region", "max_output", "dialects", *_YES_NO, *_WHOLE_WHEN)


class Target(click.ParamType[RouteTarget]):
    """A target as a person types it: `provider/model,priority=2,weight=10`."""

    name = "target"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> RouteTarget:
        """Read a target."""
        if isinstance(value, RouteTarget):
            return value
        try:
            return read_target(str(value))
        except InvalidRequest as error:
            self.fail(error.message, param, ctx)


def read_target(text: str) -> RouteTarget:
    """A target as it is typed.

    Raises:
        InvalidRequest: it can't be read; the message says which part of it.
    """
    address, *parts = text.split(",")
    provider, slash, model = address.partition("/")
    if not slash or not provider or not model:
        raise InvalidRequest(f"{address[:100]!r} is not PROVIDER/MODEL.", param="target")
    said: dict[str, Any] = {}
    when: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in _KNOWN:
            raise InvalidRequest(
                f"{part[:60]!r} says nothing of a target; known are {', '.join(_KNOWN)}.",
                param="target",
            )
        if name in said or name in when:
            raise InvalidRequest(f"{name} is said twice.", param="target")
        if name == "dialects":
            when[name] = tuple(value.split("+"))
        elif name in _YES_NO:
            when[name] = _yes_or_no(name, value)
        elif name in _WHOLE_WHEN:
            when[name] = _whole(name, value)
        else:
            said[name] = _whole(name, value) if name in _WHOLE else value
    return RouteTarget(provider=provider, model=model, when=When(**when), **said)


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise InvalidRequest(f"{name} is a whole number, not {text[:40]!r}.", param="target")
    return int(text)


def _yes_or_no(name: str, text: str) -> bool:
    if text not in _WORDS:
        raise InvalidRequest(f"{name} is yes or no, not {text[:40]!r}.", param="target")
    return _WORDS[text]


@click.command()
@click.argument("name")
@click.option(
    "--target",
    "targets",
    type=Target(),
    multiple=True,
    required=True,
    metavar="PROVIDER/MODEL[,weight=N][,priority=N]...",
    help="Repeat it for several. After the model may stand: priority (0 to 100, lower ones first), "
    "weight, region, max_output, dialects (chat+messages), tools and images (yes or no), "
    "min_input_tokens, max_input_tokens.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="priority",
    show_default=True,
    help="Which of the targets of one priority is asked first.",
)
@click.option("--sticky", is_flag=True, help="A conversation stays at one target.")
@click.option("--attempts", type=int, help="Most attempts of a call.")
@click.option("--connect-seconds", type=float, help="Limit to connect to a provider.")
@click.option("--first-byte-seconds", type=float, help="Limit until an answer begins.")
@click.option("--idle-seconds", type=float, help="Limit of silence within an answer.")
@click.option("--total-seconds", type=float, help="Limit of a call with all its attempts.")
@click.option("--cache-seconds", type=int, help="Keep answers so long for the same request.")
@click.option(
    "--cache-scope",
    type=click.Choice(("project", "organisation", "instance")),
    help="Who shares kept answers.  [default: project]",
)
@click.option("--cache-max-bytes", type=int, help="Larger answers are not kept.")
@click.option(
    "--disconnect",
    type=click.Choice(("drain", "cancel")),
    help="What becomes of an answer whose caller has hung up.",
)
@click.option("--disabled", is_flag=True, help="Keep it, but answer no call by it.")
@json_option
def route(
    *,
    name: str,
    targets: tuple[RouteTarget, ...],
    strategy: Strategy,
    sticky: bool,
    attempts: int | None,
    connect_seconds: float | None,
    first_byte_seconds: float | None,
    idle_seconds: float | None,
    total_seconds: float | None,
    cache_seconds: int | None,
    cache_scope: CacheScope | None,
    cache_max_bytes: int | None,
    disconnect: Literal["drain", "cancel"] | None,
    disabled: bool,
    as_json: bool,
) -> None:
    """Let a model's name lead to targets; what it led to before is replaced as a whole.

    \b
    torana models route fast --target groq/llama-3.3-70b-versatile \\
        --target openai/gpt-4o-mini,priority=2
    """  # noqa: D301 -- click keeps the lines as they are after a backspace
    wanted = Route(
        name=name,
        targets=targets,
        strategy=strategy,
        sticky=sticky,
        attempts=attempts,
        deadlines=Deadlines(
            connect=connect_seconds,
            first_byte=first_byte_seconds,
            idle=idle_seconds,
            total=total_seconds,
        ),
        cache=_cache(cache_seconds, cache_scope, cache_max_bytes),
        disconnect=disconnect,
    )
    with open_database() as database:
        view = admin.put_route(database, wanted, enabled=not disabled)
    if as_json:
        print_json(admin.describe_route(view))
        return
    click.echo(f"{view.name} leads to {_said(view.route)}.")


def _cache(
    seconds: int | None, scope: CacheScope | None, max_bytes: int | None
) -> CacheTerms | None:
    if seconds is None:
        if scope is not None or max_bytes is not None:
            raise click.UsageError("Say with --cache-seconds how long answers are kept.")
        return None
    terms = CacheTerms(seconds=seconds, scope=scope or "project")
    return terms if max_bytes is None else msgspec.structs.replace(terms, max_bytes=max_bytes)


@click.command()
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Take a route away: its name leads nowhere, or where it led without the route."""
    with open_database() as database:
        view = admin.remove_route(database, name)
    if as_json:
        print_json(admin.describe_route(view))
    else:
        click.echo(f"Removed the route {view.name}.")


@click.command()
@json_option
def routes(*, as_json: bool) -> None:
    """List the routes that are kept in the database, disabled ones too.

    `torana models list` asks the running service instead, and also has its prices.
    """
    settings = load_settings()
    with open_database(settings) as database:
        rows = admin.list_routes(database, settings=settings)
    if as_json:
        print_json([admin.describe_route(row) for row in rows])
        return
    print_table(
        ("NAME", "STRATEGY", "TARGETS", "STICKY", "CACHE", "ENABLED"),
        [
            (
                row.name,
                row.route.strategy,
                _said(row.route),
                "yes" if row.route.sticky else "no",
                "-" if row.route.cache is None else f"{row.route.cache.seconds} s",
                "yes" if row.enabled else "no",
            )
            for row in rows
        ],
    )


def _said(wanted: Route) -> str:
    """A route's targets as people read them, in the order of their priorities."""
    ordered = sorted(wanted.targets, key=lambda target: target.priority)
    weighs = wanted.strategy == "weighted" or wanted.sticky
    texts: dict[int, list[str]] = {}
    for target in ordered:
        weight = f" (weight {target.weight})" if weighs else ""
        texts.setdefault(target.priority, []).append(f"{target.provider}/{target.model}{weight}")
    return ", then ".join(" or ".join(group) for group in texts.values())
