"""`torana providers test`."""

from __future__ import annotations

import sys

import click

from torana.admin.provider_checks import Check, check_provider
from torana.cli.context import open_database
from torana.cli.output import json_option, print_json
from torana.cli.provider_secrets import secret_keys
from torana.settings import load_settings

_ADVICE = {
    "upstream_auth": "Set another key: torana providers keys add {name} --label LABEL "
    "--api-key-stdin, and remove the bad one.",
    "upstream_unreachable": "Check the base URL (torana providers show {name}), and that the "
    "server runs and this machine may connect to it.",
    "upstream_timeout": "The server is too slow, or something between swallows the connection.",
    "upstream_rejected": "The base URL may lack its version, such as /v1, or lead elsewhere: "
    "torana providers show {name}",
    "upstream_rate_limited": "It works, and its limit is used up at present.",
}
_MOST_MODELS = 5


@click.command(name="test")
@click.argument("name")
@json_option
def test(*, name: str, as_json: bool) -> None:
    """Ask a provider for its models with each of its keys; exit status 1 when one fails.

    This machine asks, at most ten seconds a key. It costs nothing.
    """
    settings = load_settings()
    with open_database(settings) as database:
        checks = check_provider(database, settings, secret_keys(settings), name, each_key=True)
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            _say(name, check)
    if not all(check.ok for check in checks):
        sys.exit(1)


def _say(name: str, check: Check) -> None:
    who = name if check.key is None else f"{name}, key {check.key}"
    if check.ok:
        click.echo(f"{who}: well, after {check.milliseconds} ms. {_models(check)}")
        return
    click.echo(f"{who}: {check.message} (after {check.milliseconds} ms)", err=True)
    advice = _ADVICE.get(check.error_code or "")
    if advice is not None:
        click.echo(f"  {advice.format(name=name)}", err=True)


def _models(check: Check) -> str:
    names = check.models
    if not names:
        return "It tells no models."
    shown = ", ".join(names[:_MOST_MODELS])
    more = f" and {len(names) - _MOST_MODELS} more" if len(names) > _MOST_MODELS else ""
    return f"Models: {shown}{more}."
