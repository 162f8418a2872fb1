"""`torana prices`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from torana.admin import prices as admin
from torana.admin.price_list import read_list
from torana.admin.price_terms import AMOUNTS, TermsView, describe, make_terms
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.core.clock import isoformat
from torana.core.money import PriceTerms
from torana.errors import InvalidRequest

_FILE_LIMIT = 64 * 1024 * 1024
_HELP = {
    "input": "Dollars per million tokens of prompt.",
    "output": "Dollars per million tokens of answer.",
    "cached": "... read from a prompt cache; the input's when left out.",
    "cache_write": "... written to one; the input's when left out.",
    "cache_write_1h": "... written to one for an hour; the input's when left out.",
    "reasoning": "... of reasoning; the output's when left out.",
    "input_audio": "... of audio read; the input's when left out.",
    "output_audio": "... of audio made; the output's when left out.",
    "input_image": "... of images read; the input's when left out.",
    "output_image": "... of images made; the output's when left out.",
    "image": "Dollars per image made; 0 when left out.",
    "per_million_characters": "Dollars per million characters read aloud; 0 when left out.",
    "per_minute": "Dollars per minute of audio heard; 0 when left out.",
    "search": "Dollars per unit of search (reranking); 0 when left out.",
    "request": "Dollars per call; 0 when left out.",
}
_BY_UNIT = {
    "image": "an image",
    "per_million_characters": "a million characters",
    "per_minute": "a minute of audio",
    "search": "a search",
}
_SHORT = {
    "image": "/image",
    "per_million_characters": "/M-characters",
    "per_minute": "/minute",
    "search": "/search",
}


@click.group()
def prices() -> None:
    """What models cost: from the list, or set by you."""


@prices.command(name="list")
@click.option("--provider", help="Only this provider's.")
@click.option("--model", help="Only this model's; a dated name finds the price of its model.")
@click.option("--history", is_flag=True, help="Also what was, and what is announced.")
@json_option
def list_(*, provider: str | None, model: str | None, history: bool, as_json: bool) -> None:
    """List prices in dollars per million tokens."""
    with open_database() as database:
        rows = admin.list_prices(database, provider=provider, model=model, history=history)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    print_table(
        ("PROVIDER", "MODEL", "INPUT", "CACHED", "OUTPUT", "MORE", "SOURCE", "SINCE", "NOW"),
        [
            (
                row.provider,
                row.model,
                *_columns(row.terms),
                row.source,
                row.valid_from,
                "yes" if row.in_force else "no",
            )
            for row in rows
        ],
    )


def _amount_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(AMOUNTS):
        function = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar="USD",
            help=_HELP[name],
        )(function)
    return function


@prices.command(name="set")
@click.argument("target", metavar="PROVIDER/MODEL")
@_amount_options
@click.option(
    "--batch-percent",
    type=int,
    default=100,
    show_default=True,
    help="What a call of the provider's batches costs, in percent.",
)
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    metavar="ABOVE:INPUT:OUTPUT[:CACHED]",
    help="The amounts for prompts of more than ABOVE tokens; repeatable.",
)
@click.option(
    "--image-variant",
    "variants",
    multiple=True,
    metavar="SIZE/QUALITY=USD",
    help="Dollars per image of one kind: 1024x1024/high=0.17, 1024x1024/*=0.04; repeatable.",
)
@click.option("--from", "begins", metavar="INSTANT", help="2027-01-01T00:00:00Z; now if left out.")
@json_option
def set_(
    *,
    target: str,
    batch_percent: int,
    tiers: tuple[str, ...],
    variants: tuple[str, ...],
    begins: str | None,
    as_json: bool,
    **amounts: str | None,
) -> None:
    """Set the price of a model; PROVIDER/* stands for all of its models without their own.

    A price needs --input and --output, unless it is one by the image, the minute, the search or the
    character.
    """
    provider, model = _target(target)
    terms = make_terms(
        amounts,
        [_tier(text) for text in tiers],
        image_variants=dict(_variant(text) for text in variants),
        batch_percent=batch_percent,
    )
    with open_database() as database:
        row = admin.set_by_operator(
            database, provider=provider, model=model, terms=terms, begins=_instant(begins)
        )
    if as_json:
        print_json(_plain(row))
        return
    when = f"from {isoformat(row.valid_from)} on" if begins else "from now on"
    click.echo(f"{provider}/{model} costs {_told(terms)} {when}.")


@prices.command()
@click.argument("target", metavar="PROVIDER/MODEL")
@json_option
def reset(*, target: str, as_json: bool) -> None:
    """Let a model follow the price list again."""
    provider, model = _target(target)
    with open_database() as database:
        terms = admin.reset_price(database, provider=provider, model=model)
    if as_json:
        price = None if terms is None else describe(terms)
        print_json({"provider": provider, "model": model, "price": price})
    elif terms is None:
        click.echo(f"{provider}/{model} has no price now: the list does not know it.")
    else:
        usd = describe(terms).usd
        click.echo(f"{provider}/{model} costs {usd['input']} / {usd['output']}, as on the list.")


@prices.command()
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A newer list: data.json of the genai-prices project, or one in Torana's own form.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, show what would change.")
@json_option
def update(*, path: Path | None, dry_run: bool, as_json: bool) -> None:
    """Let all prices that you have not set yourself follow the list."""
    brought = None
    if path is not None:
        if path.stat().st_size > _FILE_LIMIT:
            raise InvalidRequest("The price list is larger than 64 MiB.", param="file")
        brought = read_list(path.read_bytes())
    with open_database() as database:
        changes = admin.update_prices(database, brought, dry_run=dry_run)
    if as_json:
        print_json(
            [
                {
                    "provider": change.provider,
                    "model": change.model,
                    "valid_from": isoformat(change.valid_from),
                    "before": None if change.before is None else describe(change.before),
                    "after": None if change.after is None else describe(change.after),
                }
                for change in changes
            ]
        )
        return
    if changes:
        print_table(
            ("PROVIDER", "MODEL", "FROM", "BEFORE", "AFTER"),
            [
                (
                    change.provider,
                    change.model,
                    change.valid_from,
                    _short(change.before),
                    _short(change.after),
                )
                for change in changes
            ],
        )
    verb = "would change" if dry_run else "changed"
    click.echo(f"{len(changes)} prices {verb}.")


def _plain(row: admin.PriceRow) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "model": row.model,
        "source": row.source,
        "valid_from": isoformat(row.valid_from),
        "in_force": row.in_force,
        "price_id": row.price_id,
        "price": None if row.terms is None else describe(row.terms),
    }


def _told(terms: PriceTerms) -> str:
    """A price in one sentence: what a token costs, or what else is paid for."""
    view = describe(terms)
    units = [
        f"{view.usd[name]} USD for {what}" for name, what in _BY_UNIT.items() if _has(view, name)
    ]
    units += [f"{usd} USD for an image {name}" for name, usd in view.image_variants.items()]
    tokens = (
        f"{view.usd['input']} USD per million tokens of input and {view.usd['output']} of output"
    )
    if units and view.usd["input"] == view.usd["output"] == "0":
        return ", ".join(units)
    return ", ".join([tokens, *units])


def _has(view: TermsView, name: str) -> bool:
    return view.usd[name] != "0"


def _columns(terms: PriceTerms | None) -> tuple[str, str, str, str]:
    if terms is None:
        return ("-", "-", "-", "no price")
    view = describe(terms)
    more = [f">{tier.above}" for tier in view.tiers]
    more += [f"{view.usd[name]}{what}" for name, what in _SHORT.items() if _has(view, name)]
    more += [f"{name}={usd}" for name, usd in view.image_variants.items()]
    if terms.batch_percent != 100:
        more.append(f"batch {terms.batch_percent}%")
    return (view.usd["input"], view.usd["cached"], view.usd["output"], " ".join(more) or "-")


def _short(terms: PriceTerms | None) -> str:
    if terms is None:
        return "-"
    input_, cached, output, more = _columns(terms)
    return f"{input_} / {cached} / {output}" + ("" if more == "-" else f" ({more})")


def _target(text: str) -> tuple[str, str]:
    provider, slash, model = text.partition("/")
    if not slash:
        raise InvalidRequest("Name the model as PROVIDER/MODEL.", param="model")
    return provider, model


def _tier(text: str) -> tuple[int, Mapping[str, str | None]]:
    above, *amounts = text.split(":")
    if not above.isdecimal() or len(above) > 15 or not 2 <= len(amounts) <= 3:
        raise InvalidRequest(
            f"{text[:60]!r} is not ABOVE:INPUT:OUTPUT or ABOVE:INPUT:OUTPUT:CACHED.", param="tier"
        )
    return int(above), dict(zip(("input", "output", "cached"), amounts, strict=False))


def _variant(text: str) -> tuple[str, str]:
    name, equals, amount = text.partition("=")
    if not equals:
        raise InvalidRequest(f"{text[:60]!r} is not SIZE/QUALITY=USD.", param="image-variant")
    return name, amount


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{text[:60]!r} is not an instant such as 2027-01-01T00:00:00Z.", param="from"
        ) from None
