"""The keys of a file's providers, which stand elsewhere: in the environment, or in files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path as FilePath

import msgspec

from torana.admin.apply.locator import Path
from torana.admin.apply.problems import Problem
from torana.admin.apply.schema import WantedProvider
from torana.admin.providers import FIRST_LABEL

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_SIZE_LIMIT = 16 * 1024


class Sources(msgspec.Struct, frozen=True):
    """Where secrets may be.

    Attributes:
        variable: gives a variable of the environment.
        folder: relative paths of files begin there.
    """

    variable: Callable[[str], str | None]
    folder: FilePath


class _UnusableError(Exception):
    """There is no secret there; the words are for people and never repeat it."""


def read_secrets(
    provider: WantedProvider, path: Path, sources: Sources
) -> tuple[dict[str, str], list[Problem]]:
    """A provider's keys by label.

    Args:
        provider: what the file says.
        path: where it stands.
        sources: where secrets may be.
    """
    named = [
        (FIRST_LABEL, provider.api_key_env, provider.api_key_file, path, "api_key_"),
        *(
            (key.label, key.env, key.file, (*path, "keys", position), "")
            for position, key in enumerate(provider.keys)
        ),
    ]
    if provider.api_key_env is None and provider.api_key_file is None:
        del named[0]
    elif provider.keys:
        message = "name its only key with api_key_env or api_key_file, or several with keys"
        return {}, [Problem((*path, "keys"), message)]
    secrets: dict[str, str] = {}
    problems = []
    for label, env, file, place, prefix in named:
        if label in secrets:
            problems.append(Problem(place, f'there are two keys with the label "{label[:64]}"'))
            continue
        try:
            secrets[label] = _read(env, file, sources, prefix)
        except _UnusableError as error:
            used = "env" if env is not None else "file" if file is not None else None
            at = place if used is None else (*place, f"{prefix}{used}")
            problems.append(Problem(at, str(error)))
    return secrets, problems


def _read(env: str | None, file: str | None, sources: Sources, prefix: str) -> str:
    if (env is None) == (file is None):
        message = f"name either {prefix}env or {prefix}file"
        raise _UnusableError(message)
    if env is not None:
        return _variable(env, sources.variable, f"{prefix}env")
    return _file(sources.folder / str(file))


def _variable(name: str, read: Callable[[str], str | None], field: str) -> str:
    if not _VARIABLE.fullmatch(name):
        # Not repeated: somebody may have put the key itself here.
        message = f"{field} is the name of a variable: letters, digits and '_'"
        raise _UnusableError(message)
    value = (read(name) or "").strip()
    if not value:
        shown = f"the variable {name}" if _SHOWN_VARIABLE.fullmatch(name) else "that variable"
        message = f"{field}: {shown} is not set in the environment of this command"
        raise _UnusableError(message)
    return value


def _file(path: FilePath) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no such name"
        message = f"the file of the key can't be read: {reason}"
        raise _UnusableError(message) from None
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > _SIZE_LIMIT or "\n" in text:
        message = "the file of the key must hold the key and nothing else, on one line"
        raise _UnusableError(message)
    return text
