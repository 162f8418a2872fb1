"""`torana up` and `torana serve`: they hand this process over to what they start."""

from __future__ import annotations

import sys

import click

from torana.settings import exec_module


@click.command()
@click.option("--no-local-model", is_flag=True, help="Do not start the small model on the CPU.")
@click.option("--host", help="Address to listen on (TORANA_HOST).")
@click.option("--port", type=int, help="Port to listen on (TORANA_PORT).")
def up(*, no_local_model: bool, host: str | None, port: int | None) -> None:
    """Start everything on this machine: Redis, migrations, the web service, a small model.

    The first start makes an administrator and an API key and shows them once.
    """
    arguments = ["--no-local-model"] if no_local_model else []
    _hand_over("torana.up", arguments, host, port)


@click.command()
@click.option("--host", help="Address to listen on (TORANA_HOST).")
@click.option("--port", type=int, help="Port to listen on (TORANA_PORT).")
def serve(*, host: str | None, port: int | None) -> None:
    """Start the web service alone, for deployments with a database and Redis of their own."""
    _hand_over("torana.app", [], host, port)


@click.command()
def cron() -> None:
    """Run what must be done now and then: the sweeper, spools, partitions. Safe to start twice."""
    _hand_over("torana.cron", [], None, None)


def _hand_over(module: str, arguments: list[str], host: str | None, port: int | None) -> None:
    settings = {"TORANA_HOST": host, "TORANA_PORT": str(port) if port is not None else None}
    sys.stdout.flush()
    exec_module(module, arguments, **{k: v for k, v in settings.items() if v is not None})
