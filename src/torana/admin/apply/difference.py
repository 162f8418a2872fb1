"""What is different between what there is and what is wanted, and in which words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from torana.admin.apply.locator import Path
from torana.admin.apply.problems import dotted
from torana.core.clock import isoformat
from torana.routing.routes import RouteTarget

NONE = "none"


class Difference(msgspec.Struct, frozen=True):
    """A value that changes.

    Attributes:
        what: its path, as in the file.
        before, after: in words; None where nothing of it may be shown.
    """

    what: str
    before: str | None
    after: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that is to be made or changed.

    Attributes:
        kind: `provider`, `model` and so on.
        name: what people call it.
        about: of a new thing, what it is.
        differences: of a thing that is there.
    """

    action: Literal["add", "change"]
    kind: str
    name: str
    about: str = ""
    differences: tuple[Difference, ...] = ()


def compare(before: Any, after: Any) -> tuple[Difference, ...]:
    """What is different between two values of the same type, by path."""
    return tuple(_compare(before, after, ()))


def _compare(before: Any, after: Any, path: Path) -> Iterator[Difference]:
    if before == after:
        return
    left, right = _parts(before), _parts(after)
    # An empty list may be one of tables.
    left = {} if before in ([], ()) and right is not None else left
    right = {} if after in ([], ()) and left is not None else right
    if left is None or right is None:
        yield Difference(dotted(path), words(before), words(after))
        return
    for name in dict.fromkeys([*left, *right]):
        yield from _compare(left.get(name), right.get(name), (*path, name))


def _parts(value: Any) -> dict[str | int, Any] | None:
    """What a value is compared by; None compares it as a whole."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple) and any(
        isinstance(each, msgspec.Struct | Mapping) for each in value
    ):
        return dict(enumerate(value))
    return None


def words(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, msgspec.Struct):
        return _target(value) if isinstance(value, RouteTarget) else ", ".join(_said(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(words(each) for each in value) or NONE
    return _word(value)


def _word(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value) or '""'


def _said(value: msgspec.Struct) -> list[str]:
    """The fields of a struct that are not as they are by default."""
    return [
        f"{field.name} {words(given)}"
        for field in msgspec.structs.fields(value)
        if (given := getattr(value, field.name)) != field.default
    ]


def _target(target: RouteTarget) -> str:
    # The provider and the model, which have no default, come first.
    others = _said(target)[2:]
    name = f"{target.provider}/{target.model}"
    return f"{name} ({', '.join(others)})" if others else name
