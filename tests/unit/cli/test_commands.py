"""Every command of the command line, found by walking it, says what it does."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from torana.cli.main import torana

NOUNS = {
    "up",
    "serve",
    "cron",
    "db",
    "users",
    "projects",
    "keys",
    "budgets",
    "limits",
    "providers",
    "models",
    "guardrails",
    "apply",
    "prices",
    "usage",
    "ledger",
    "chat",
    "doctor",
}


def every(command: click.Command, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += every(below, *path, name)
    return found


COMMANDS = every(torana)
LEAVES = [(path, command) for path, command in COMMANDS if not isinstance(command, click.Group)]


def ids(commands: list[tuple[tuple[str, ...], click.Command]]) -> list[str]:
    return [" ".join(("torana", *path)) for path, _ in commands]


def test_the_nouns_are_all_here():
    assert {path[0] for path, _ in COMMANDS if path} == NOUNS


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=ids(COMMANDS))
def test_a_command_says_what_it_does(path, command):
    assert command.help
    assert command.help.strip().splitlines()[0].endswith(".")
    assert command.get_short_help_str(limit=200)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=ids(COMMANDS))
def test_every_option_says_what_it_does(path, command):
    for parameter in command.params:
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=ids(COMMANDS))
def test_the_help_of_a_command_works(path, command, option):
    result = CliRunner().invoke(torana, [*path, option])
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert command.help is not None
    assert command.help.split(maxsplit=1)[0] in result.output


READS_ITS_TERMINAL_OR_BECOMES_A_PROCESS = {("up",), ("serve",), ("cron",), ("chat",)}


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=ids(LEAVES))
def test_every_command_that_a_script_may_read_prints_json(path, command):
    if path in READS_ITS_TERMINAL_OR_BECOMES_A_PROCESS:
        return
    options = {option for parameter in command.params for option in parameter.opts}
    assert options & {"--json", "--format"}


def test_the_help_of_all_names_every_noun():
    output = CliRunner().invoke(torana, ["--help"]).output
    for noun in NOUNS:
        assert f"\n  {noun} " in output


@pytest.mark.parametrize("arguments", [["nonsense"], ["keys", "nonsense"], ["usage", "--nonsense"]])
def test_what_does_not_exist_is_a_usage_error(arguments):
    assert CliRunner().invoke(torana, arguments).exit_code == 2
