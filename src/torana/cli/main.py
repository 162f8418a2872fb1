"""The `torana` command: its nouns, and how errors reach the terminal."""

from __future__ import annotations

import sys

import click

from torana import __version__
from torana.errors import ToranaError


class _Lazy(click.Group):
    """A group that imports a command when it is used: `torana --version` needs no database."""

    commands_by_name = {  # noqa: RUF012 -- a constant
        "up": "start",
        "serve": "start",
        "cron": "start",
        "db": "database",
        "users": "users",
        "projects": "projects",
        "keys": "keys",
        "budgets": "budgets",
        "limits": "limits",
        "providers": "providers",
        "models": "models",
        "guardrails": "guardrails",
        "apply": "apply",
        "prices": "prices",
        "usage": "usage",
        "ledger": "ledger",
        "chat": "chat",
        "doctor": "doctor",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in the order of a newcomer's day."""
        del ctx
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's file."""
        del ctx
        module_name = self.commands_by_name.get(cmd_name)
        if module_name is None:
            return None
        module = __import__(f"torana.cli.{module_name}", fromlist=[cmd_name])
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="torana")
def torana() -> None:
    """Torana: one API for every model, exact budgets, a durable ledger.

    Settings come from TORANA_* variables and from .env; docs/settings.md lists them.
    """


def main() -> None:
    """Run the command; what goes wrong is one line on stderr and exit status 1."""
    try:
        torana.main(standalone_mode=False)
    except ToranaError as error:
        click.echo(f"torana: {error.public_message}", err=True)
        sys.exit(1)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("torana: interrupted", err=True)
        sys.exit(130)
