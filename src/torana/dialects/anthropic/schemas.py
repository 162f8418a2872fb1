"""JSON schemas that Anthropic can hold a model to.

Source: Anthropic's guide to structured outputs and what its SDK makes of a schema. What is refused
there (bounds of numbers and texts, open objects, recursion) is not left out here, because then an
answer could break the caller's schema: such a schema is an instruction, and the answer is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTH = 64
_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
_AS_IT_IS = frozenset({"$schema", "const", "default", "description", "enum", "required", "title"})
_PREFIXES = ("#/$defs/", "#/definitions/")


class _UnheldError(Exception):
    """Something in the schema can't be said."""


def held(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """A schema in the words that Anthropic takes, at most narrower; None when there are none.

    An object that says nothing of further members is closed, which Anthropic wants said.
    """
    try:
        written = _held(schema, 0)
        _refuse_cycles(schema)
    except _UnheldError:
        return None
    return written


def _held(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        raise _UnheldError
    kinds = schema.get("type")
    if isinstance(kinds, list):
        rest = {key: value for key, value in schema.items() if key != "type"}
        return {"anyOf": [_held({"type": kind, **rest}, depth + 1) for kind in kinds]}
    written = {key: _member(key, value, depth + 1) for key, value in schema.items()}
    if kinds == "object":
        if not schema.get("properties") and "additionalProperties" not in schema:
            raise _UnheldError  # Closed, it would be empty.
        written.setdefault("additionalProperties", False)
    return written


def _member(key: str, value: Any, depth: int) -> Any:
    if key in _AS_IT_IS:
        if key == "enum" and not _is_plain(value):
            raise _UnheldError
        return value
    if key in {"properties", "$defs", "definitions"} and isinstance(value, Mapping):
        return {name: _held(inner, depth) for name, inner in value.items()}
    if key in {"anyOf", "allOf"} and isinstance(value, list):
        return [_held(inner, depth) for inner in value]
    if key == "items":
        return _held(value, depth)
    sayable = {
        "type": isinstance(value, str),
        "$ref": isinstance(value, str) and value.startswith(_PREFIXES),
        "format": value in _FORMATS if isinstance(value, str) else False,
        "minItems": value in (0, 1),
        "additionalProperties": value is False,
    }
    if not sayable.get(key, False):
        raise _UnheldError
    return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value)


def _refuse_cycles(schema: Mapping[str, Any]) -> None:
    """Anthropic refuses schemas that hold themselves."""
    defined = {**(schema.get("definitions") or {}), **(schema.get("$defs") or {})}
    names: dict[str, set[str]] = {name: _references(inner) for name, inner in defined.items()}
    for start, own in names.items():
        seen: set[str] = set()
        waiting = set(own)
        while waiting:
            name = waiting.pop()
            if name == start:
                raise _UnheldError
            if name not in seen:
                seen.add(name)
                waiting |= names.get(name, set())


def _references(schema: Any) -> set[str]:
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Mapping):
            own = inner.get("$ref")
            if isinstance(own, str):
                found.add(own.rpartition("/")[2])
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner
    return found
