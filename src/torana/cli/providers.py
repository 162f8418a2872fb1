"""`torana providers`: what is added, changed, taken away and listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from torana.admin import allowed_hosts as hosts
from torana.admin import providers as admin
from torana.admin.provider_terms import KINDS, read_terms
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json, print_table
from torana.cli.provider_hosts import allow_host, disallow_host, list_hosts
from torana.cli.provider_keys import keys, rotate_keys
from torana.cli.provider_secrets import key_options, read_secret, secret_box
from torana.cli.provider_test import test
from torana.errors import InvalidRequest
from torana.providers.presets import PRESETS
from torana.settings import load_settings


@click.group()
def providers() -> None:
    """Upstreams: where calls go, and with which keys."""


for command in (keys, rotate_keys, test, allow_host, disallow_host, list_hosts):
    providers.add_command(command)


@providers.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the providers: those that were added, and those that settings name.

    `torana up` gives its own processes `local` and `echo`; they are not settings of this command,
    and are not listed here.
    """
    settings = load_settings()
    with open_database(settings) as database:
        rows = admin.list_providers(database, settings=settings)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "KIND", "PRESET", "BASE URL", "KEYS", "ENABLED", "FROM"),
        [
            (
                row.name,
                row.kind,
                row.preset,
                row.base_url,
                row.keys,
                _yes(row.enabled),
                "settings" if row.built_in else "added",
            )
            for row in rows
        ],
    )


@providers.command()
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show a provider with its options."""
    settings = load_settings()
    with open_database(settings) as database:
        row = admin.get_provider(database, name, settings=settings)
    if as_json:
        print_json(row)
        return
    lines: list[tuple[str, object]] = [
        ("name", row.name),
        ("kind", row.kind),
        ("preset", row.preset),
        ("base URL", row.base_url),
        ("keys", row.keys),
        ("enabled", _yes(row.enabled)),
        ("from", "settings" if row.built_in else "added"),
    ]
    lines += [
        (f"option {option}", msgspec.json.encode(value).decode())
        for option, value in row.options.items()
    ]
    print_table(("", ""), lines)


@providers.command()
@click.argument("name")
@click.option("--preset", help="A server that Torana knows: `torana providers presets`.")
@click.option("--base-url", metavar="URL", help="Up to and with the version: https://host/v1.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Whose API it speaks: OpenAI's chat alone (compatible), or all of OpenAI's or "
    "Anthropic's.  [default: the preset's, or compatible]",
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Of the preset.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="What its server wants otherwise; JSON or a word.",
)
@key_options
@click.option("--allow-host", "allow", is_flag=True, help="Its host may have a private address.")
@click.option("--disabled", is_flag=True, help="Add it, but let no call go to it yet.")
@json_option
def add(
    *,
    name: str,
    preset: str | None,
    base_url: str | None,
    kind: str | None,
    variables: tuple[str, ...],
    options: tuple[str, ...],
    api_key_stdin: bool,
    api_key_env: str | None,
    api_key_file: Path | None,
    allow: bool,
    disabled: bool,
    as_json: bool,
) -> None:
    """Add a provider; its models are then called NAME/model."""
    settings = load_settings()
    key = read_secret(
        api_key_stdin=api_key_stdin, api_key_env=api_key_env, api_key_file=api_key_file
    )
    given = dict(_pair(text, "var") for text in variables)
    wanted = _options(options)
    with open_database(settings) as database:
        if allow:
            terms = read_terms(kind, preset, base_url, given, wanted)
            hosts.allow_host(database, hosts.host_of(terms.base_url))
        view = admin.add_provider(
            database,
            secret_box(settings),
            name=name,
            base_url=base_url,
            kind=kind,
            preset=preset,
            variables=given,
            options=wanted,
            api_key=key,
            enabled=not disabled,
        )
    if as_json:
        print_json(view)
        return
    click.echo(f"Added {view.name}. Call its models as {view.name}/MODEL.")
    if preset is not None and PRESETS[preset].needs_key and key is None:
        click.echo(f"It needs a key: torana providers keys add {view.name} --api-key-stdin")


@providers.command(name="set")
@click.argument("name")
@click.option("--base-url", metavar="URL", help="Up to and with the version: https://host/v1.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether calls may go to it.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="What its server wants otherwise; JSON or a word. Other options stay.",
)
@click.option("--unset-option", "unset", multiple=True, metavar="NAME", help="As its kind does.")
@json_option
def set_(
    *,
    name: str,
    base_url: str | None,
    enabled: bool | None,
    options: tuple[str, ...],
    unset: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change a provider. What is not said stays."""
    with open_database() as database:
        changed: dict[str, Any] = {}
        if base_url is not None:
            changed["base_url"] = base_url
        if enabled is not None:
            changed["enabled"] = enabled
        if options or unset:
            present = admin.get_provider(database, name).options | _options(options)
            changed["options"] = {key: present[key] for key in present if key not in unset}
        if not changed:
            raise click.UsageError("Say what shall be different; --help lists it.")
        view = admin.set_provider(database, name, admin.ProviderChange(**changed))
    if as_json:
        print_json(view)
    else:
        click.echo(f"Changed {view.name}.")


@providers.command()
@click.argument("name")
@json_option
def remove(*, name: str, as_json: bool) -> None:
    """Take a provider away with its keys. The ledger keeps its calls."""
    with open_database() as database:
        view = admin.remove_provider(database, name)
    if as_json:
        print_json(view)
    else:
        click.echo(f"Removed {view.name}.")


@providers.command()
@json_option
def presets(*, as_json: bool) -> None:
    """List the servers that Torana knows how to speak to."""
    if as_json:
        print_json(
            [
                msgspec.structs.asdict(preset) | {"variables": dict(preset.variables)}
                for preset in PRESETS.values()
            ]
        )
        return
    print_table(
        ("PRESET", "TITLE", "BASE URL", "VARIABLES", "KEY"),
        [
            (
                preset.name,
                preset.title,
                preset.base_url,
                " ".join(preset.variables) or None,
                "needed" if preset.needs_key else "no",
            )
            for preset in PRESETS.values()
        ],
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest(f"{text[:60]!r} is not NAME=VALUE.", param=option)
    return name, value


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    """Options as they are typed: a value that is no JSON is a word."""
    options: dict[str, Any] = {}
    for name, text in (_pair(each, "option") for each in given):
        try:
            options[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            options[name] = text
    return options
