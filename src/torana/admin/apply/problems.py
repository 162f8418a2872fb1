"""What is wrong with a file, and where. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

import msgspec

from torana.admin.apply.locator import Lines, Path
from torana.errors import ValidationFailed

_STEP = re.compile(r"[^.\[\]]+")


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        path: of the key.
        message: what is wrong with it, without a full stop; never a secret.
    """

    path: Path
    message: str


def refuse(problems: Iterable[Problem], lines: Lines, file: str) -> ValidationFailed:
    """The error for all that is wrong with a file, by line."""
    located = sorted({(lines.of(each.path), each.message) for each in problems})
    return refusal([(line, message) for line, message in located], file)


def refusal(located: Collection[tuple[int, str]], file: str) -> ValidationFailed:
    """The error for messages with their lines."""
    count = len(located)
    return ValidationFailed(
        f"{file} has {count} problem{'' if count == 1 else 's'}; nothing is changed.",
        problems=tuple(
            {"field": f"{file}:{line}", "message": message} for line, message in located
        ),
    )


def place(path: Path) -> str:
    """The table that a path leads to, as people read it: `[[models]] targets[0]`."""
    if not path:
        return "the file"
    first, rest = path[0], path[1:]
    heading = f"[{first}]"
    if rest and isinstance(rest[0], int):
        heading, rest = f"[{heading}]", rest[1:]
    return f"{heading} {dotted(rest)}" if rest else heading


def dotted(path: Path) -> str:
    """A path as it is written: `targets[0].weight`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def steps_of(text: str) -> Path:
    """A path from how it is written, which is what errors have as their `param`."""
    return tuple(int(step) if step.isdecimal() else step for step in _STEP.findall(text))


def nearest(name: str, valid: Collection[str]) -> str | None:
    """The valid name that a wrong one is most like, if it is like one at all."""
    found = difflib.get_close_matches(name[:64], valid, n=1, cutoff=0.6)
    return found[0] if found else None


def suggestion(name: str, valid: Collection[str]) -> str:
    """What to write instead of a wrong name."""
    near = nearest(name, valid)
    if near is not None:
        return f'did you mean "{near}"?'
    return f"there {'is' if len(valid) == 1 else 'are'} {', '.join(valid) or 'none'}"
