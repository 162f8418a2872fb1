"""Where commands get secrets from: standard input, a variable or a file; never from an argument.

Arguments are seen by everyone on the machine and stay in the shell's history.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import SecretStr

from torana.admin.providers import PURPOSE
from torana.errors import InvalidRequest
from torana.secret_box import SecretBox, load_or_make
from torana.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_FILE_LIMIT = 64 * 1024


def key_options(function: F) -> F:
    """`--api-key-stdin`, `--api-key-env` and `--api-key-file`."""
    for option in (
        click.option(
            "--api-key-file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Read the API key from a file.",
        ),
        click.option("--api-key-env", metavar="NAME", help="Take the API key from this variable."),
        click.option("--api-key-stdin", is_flag=True, help="Read the API key from standard input."),
    ):
        function = option(function)
    return function


def read_secret(
    *, api_key_stdin: bool, api_key_env: str | None, api_key_file: Path | None
) -> str | None:
    """The secret that the options lead to; None when none was given.

    Raises:
        UsageError: more than one was given.
        InvalidRequest: there is nothing where the option leads.
    """
    given = [api_key_stdin, api_key_env is not None, api_key_file is not None]
    if sum(given) > 1:
        raise click.UsageError("Give the API key in one way, not in several.")
    if api_key_stdin:
        return _not_empty(sys.stdin.readline(), "Standard input")
    if api_key_env is not None:
        # The administrator names the variable; it is no setting of Torana's.
        value = os.environ.get(api_key_env, "")  # noqa: TID251
        return _not_empty(value, f"The variable {api_key_env}")
    if api_key_file is not None:
        return _not_empty(_content(api_key_file), f"The file {api_key_file}")
    return None


def secret_keys(settings: Settings) -> tuple[SecretStr, ...]:
    """The secrets of this installation; made in its data folder when there are none yet."""
    return settings.secret_keys or (load_or_make(settings.data_dir),)


def secret_box(settings: Settings) -> SecretBox:
    """What encrypts the keys of providers."""
    return SecretBox(secret_keys(settings), PURPOSE)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_LIMIT).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"The file {path} is not text.", param="api_key_file") from None
    except OSError as error:
        raise InvalidRequest(
            f"The file {path} can't be read: {error.strerror}.", param="api_key_file"
        ) from None


def _not_empty(text: str, where: str) -> str:
    secret = text.strip()
    if not secret:
        raise InvalidRequest(f"{where} holds no API key.", param="api_key")
    return secret
