"""Whether a document has the shape of some structs, with all that is wrong with it at once. Pure.

`msgspec.convert` stops at the first problem and knows no paths that people wrote, so the same types
are walked here before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from torana.admin.apply.locator import Path
from torana.admin.apply.problems import Problem, nearest, place, steps_of, suggestion
from torana.core.money import parse_usd

T = TypeVar("T")
SECRETS = {"api_key", "api_keys", "key", "secret", "token", "password"}
"""Keys that people try for a secret itself."""
_HINT = (
    'a secret must not stand in the file; name a variable (api_key_env = "NAME") or a file '
    '(api_key_file = "path")'
)
_WORDS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "a string",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.DecimalType: "an amount of dollars with at most nine decimals",
    inspect.DateTimeType: "an instant such as 2026-12-01T00:00:00Z",
    inspect.StructType: "a table",
    inspect.DictType: "a table",
    inspect.VarTupleType: "a list",
    inspect.TupleType: "a list of two strings",
}
_WRONG = object()


def shaped(document: object, wanted: type[T]) -> tuple[T | None, list[Problem]]:
    """Read a document of TOML.

    Args:
        document: as `tomllib` gives it, with decimals for floats.
        wanted: the struct of its top.

    Returns:
        What it says, as far as it can be told, and what is wrong with it.
    """
    walk = _Walk()
    clean = walk.value(document, inspect.type_info(wanted), ())
    if clean is _WRONG or walk.spoilt:
        return None, walk.problems
    try:
        return msgspec.convert(clean, wanted), walk.problems
    except msgspec.ValidationError as error:
        # A rule of a struct that the walk does not know.
        message, _, place = str(error).partition(" - at `$")
        return None, [*walk.problems, Problem(steps_of(place.rstrip("`")), message)]


class _Walk:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.spoilt = False
        """Something is missing or unreadable, so that no struct can be made."""

    def value(self, value: object, kind: inspect.Type, path: Path) -> Any:
        """The value in the form that msgspec wants; `_WRONG` after a problem was noted."""
        match kind:
            case inspect.Metadata():
                return self.value(value, kind.type, path)
            case inspect.UnionType():
                # Only unions with None stand in files, and TOML has no null.
                (only,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
                return self.value(value, only, path)
            case inspect.LiteralType():
                return self._literal(value, kind, path)
            case inspect.AnyType():
                return _plain(value)
        clean = self._container(value, kind, path)
        if clean is _WRONG:
            clean = _scalar(value, kind)
        return clean if clean is not _WRONG else self._wrong(value, _WORDS[type(kind)], path)

    def _container(self, value: object, kind: inspect.Type, path: Path) -> Any:
        match kind, value:
            case inspect.StructType(), dict():
                return self._struct(value, kind, path)
            case inspect.DictType(), dict():
                pairs = value.items()
                return {name: self.value(it, kind.value_type, (*path, name)) for name, it in pairs}
            case inspect.VarTupleType(), list():
                numbered = enumerate(value)
                return [self.value(each, kind.item_type, (*path, at)) for at, each in numbered]
            case inspect.VarTupleType(item_type=inspect.TupleType()), dict():
                # Pairs are easier to write as a table.
                pairs = value.items()
                return [self.value([*pair], kind.item_type, (*path, pair[0])) for pair in pairs]
            case inspect.TupleType(), [str(), str()]:
                return value
        return _WRONG

    def _struct(self, table: dict[str, Any], kind: inspect.StructType, path: Path) -> Any:
        fields = {field.encode_name: field for field in kind.fields}
        meant = set()
        clean = {}
        for name, value in table.items():
            if name in fields:
                clean[name] = self.value(value, fields[name].type, (*path, name))
                continue
            meant.add(nearest(name, list(fields)))
            hint = _HINT if name in SECRETS else suggestion(name, list(fields))
            self.problems.append(
                Problem((*path, name), f'unknown key "{name[:64]}" in {place(path)}; {hint}')
            )
        for name, field in fields.items():
            if field.required and name not in table:
                self.spoilt = True
                if name not in meant:
                    self.problems.append(Problem(path, f'{place(path)} needs "{name}"'))
        return clean

    def _literal(self, value: object, kind: inspect.LiteralType, path: Path) -> Any:
        if value in kind.values:
            return value
        if not isinstance(value, str):
            return self._wrong(value, "a string", path)
        names = [str(each) for each in kind.values]
        self.spoilt = True
        self.problems.append(
            Problem(path, f'{_key(path)} can\'t be "{value[:64]}"; {suggestion(value, names)}')
        )
        return _WRONG

    def _wrong(self, value: object, wanted: str, path: Path) -> Any:
        self.spoilt = True
        # The value itself is not told: it may be a secret at the wrong place.
        self.problems.append(
            Problem(path, f"{_key(path)} must be {wanted}{_instead(value, wanted)}")
        )
        return _WRONG


def _key(path: Path) -> str:
    """A key, with where it stands."""
    *inside, last = path
    if isinstance(last, int):
        return f"{_key(tuple(inside))}[{last}]" if inside else f"[{last}]"
    return f"{last} in {place(tuple(inside))}" if inside else f"{last}"


def _scalar(value: object, kind: inspect.Type) -> Any:
    clean: Any = _WRONG
    match kind:
        case inspect.StrType() if isinstance(value, str):
            clean = value
        case inspect.BoolType() if isinstance(value, bool):
            clean = value
        case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
            clean = value
        case inspect.FloatType() if _is_number(value):
            clean = float(str(value))
        case inspect.DecimalType() if _is_number(value) or isinstance(value, str):
            clean = _dollars(str(value))
        case inspect.DateTimeType():
            clean = _instant(value)
    return clean


def _plain(value: Any) -> Any:
    """A value whose type somebody else knows, as JSON would have it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def _dollars(text: str) -> Any:
    try:
        parse_usd(text)
    except ValueError:
        return _WRONG
    return Decimal(text.strip())


def _instant(value: object) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return _WRONG
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        return _WRONG
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        return _WRONG


def _instead(value: object, wanted: str) -> str:
    """What it is instead, where that says more."""
    names = {bool: "true or false", int: "a whole number", Decimal: "a decimal number"}
    names |= {str: "a string", list: "a list", dict: "a table"}
    found = names.get(type(value), "a date or a time")
    of_that_type = (
        wanted.startswith(found)
        or (isinstance(value, str) and "such as" in wanted)
        or (isinstance(value, int | Decimal | str) and "dollars" in wanted)
        or (isinstance(value, Decimal) and wanted == "a number")
    )
    return "" if of_that_type else f", not {found}"
