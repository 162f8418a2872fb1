"""A file's bytes, read: TOML, its lines, and what it wants. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from torana.admin.apply.locator import Lines, Path
from torana.admin.apply.problems import Problem, refusal, refuse
from torana.admin.apply.schema import Wanted
from torana.admin.apply.shape import shaped
from torana.errors import ValidationFailed

SIZE_LIMIT = 4 * 1024 * 1024
_LARGEST = 2**63 - 1
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Document(msgspec.Struct, frozen=True):
    """A file that has the right shape.

    Attributes:
        file: what it is called in messages.
        raw: what it says, which also tells what was left out.
        lines: where its keys stand.
        wanted: what it says, with the defaults for what was left out.
        problems: unknown keys; what else it says can be read.
    """

    file: str
    raw: dict[str, Any]
    lines: Lines
    wanted: Wanted
    problems: list[Problem]

    def refuse(self, problems: list[Problem]) -> ValidationFailed:
        """The error for problems of this file."""
        return refuse(problems, self.lines, self.file)


def read_document(content: bytes, file: str) -> Document:
    """Read a file.

    Args:
        content: its bytes.
        file: what it is called in messages.

    Raises:
        ValidationFailed: it is no TOML, or a value is missing or of the wrong type.
    """
    text = _text(content, file)
    raw = _parsed(text, file)
    lines = Lines(text)
    unfit = list(_unfit(raw, ()))
    if unfit:
        raise refuse(unfit, lines, file)
    wanted, problems = shaped(raw, Wanted)
    if wanted is None:
        raise refuse(problems, lines, file)
    return Document(file, raw, lines, wanted, problems)


def _text(content: bytes, file: str) -> str:
    if len(content) > SIZE_LIMIT:
        raise refusal([(1, f"the file is larger than {SIZE_LIMIT // 1024 // 1024} MiB")], file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refusal([(line, "this is not UTF-8 text")], file) from None


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except RecursionError:
        raise refusal([(1, "the file is nested too deeply")], file) from None
    except ValueError as error:
        # Not only TOMLDecodeError: Python refuses numbers of thousands of digits by itself.
        message = str(error)
        found = _POSITION.search(message)
        line, more = 1, ""
        if found and found[1]:
            line, more = int(found[1]), f" (column {found[2]})"
            more += _advice(message, text.splitlines()[line - 1], int(found[2]))
        elif found:
            line = text.rstrip().count("\n") + 1
        raise refusal([(line, f"{_POSITION.sub('', message)}{more}")], file) from None


def _advice(message: str, line: str, column: int) -> str:
    """What to do about the mistake that is made most."""
    if "a key part" in message and "{" in line and column > len(line):
        return "; an inline table { ... } must stand on one line"
    return ""


def _unfit(value: object, path: Path) -> Iterator[Problem]:
    """What TOML can say and no database can keep."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _unfit(name, (*path, name))
            yield from _unfit(each, (*path, name))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _unfit(each, (*path, position))
    elif isinstance(value, str) and "\0" in value:
        yield Problem(path, "there is a NUL character in this text")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield Problem(path, "this number is too large")
