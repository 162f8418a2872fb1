"""The kinds of guardrails that there are: the built-in ones, and those of installed plugins.

A plugin is a package with an entry point in the group `torana.guardrails`: its name is the kind,
its object a subclass of `Guardrail`. Plugins are looked for once, and imported when one is used.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from torana.errors import ConfigurationError, InvalidRequest
from torana.guardrails.base import Guardrail
from torana.guardrails.masking import Mask
from torana.guardrails.patterns import BlockedPatterns

GROUP = "torana.guardrails"
BUILT_IN: Mapping[str, type[Guardrail]] = {"blocked_patterns": BlockedPatterns, "mask": Mask}


class Registry:
    """Kinds of guardrails by name.

    Args:
        points: the entry points of plugins.
    """

    def __init__(self, points: Iterable[EntryPoint] = ()) -> None:
        self._points: dict[str, list[EntryPoint]] = {}
        for point in points:
            self._points.setdefault(point.name, []).append(point)
        self._loaded: dict[str, type[Guardrail]] = dict(BUILT_IN)

    @property
    def names(self) -> tuple[str, ...]:
        """All kinds, the built-in ones first."""
        return (*BUILT_IN, *sorted(self._points.keys() - BUILT_IN.keys()))

    def kind(self, name: str) -> type[Guardrail]:
        """A kind by its name.

        Raises:
            InvalidRequest: there is none.
            ConfigurationError: its plugin is broken.
        """
        found = self._loaded.get(name)
        if found is None:
            points = self._points.get(name)
            if points is None:
                raise _unknown("kind of guardrails", name, self.names, param="kind")
            found = self._loaded[name] = _load(points)
        return found

    def build(self, kind: str, name: str, options: Mapping[str, Any]) -> Guardrail:
        """A guardrail of a kind.

        Raises:
            InvalidRequest: there is no such kind, or the options do not fit it; `param` says which.
            ConfigurationError: its plugin is broken.
        """
        made = self.kind(kind)
        read = _read_options(kind, made.Options, options)
        try:
            return made(name, read)
        except ValueError as error:
            raise _unfit(kind, str(error)) from None
        except Exception as error:
            raise ConfigurationError(
                f"The guardrail plugin {kind!r} can't be made: {type(error).__name__}."
            ) from error


@functools.cache
def installed() -> Registry:
    """The kinds of this installation; plugins are looked for once in a process's life."""
    return Registry(entry_points(group=GROUP))


def _load(points: list[EntryPoint]) -> type[Guardrail]:
    point = points[0]
    if len(points) > 1:
        raise ConfigurationError(
            f"Several installed packages have a guardrail plugin {point.name!r}.",
            hint="Uninstall all but one.",
        )
    try:
        found = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"The guardrail plugin {point.name!r} ({point.value}) can't be imported: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Guardrail)):
        raise ConfigurationError(
            f"The guardrail plugin {point.name!r} ({point.value}) is not a subclass of "
            "torana.guardrails.base.Guardrail."
        )
    options: object = found.Options
    if not (isinstance(options, type) and issubclass(options, msgspec.Struct)):
        raise ConfigurationError(
            f"The guardrail plugin {point.name!r} ({point.value}) has `Options` that are no "
            "msgspec.Struct."
        )
    return found


def _read_options(
    kind: str, schema: type[msgspec.Struct], options: Mapping[str, Any]
) -> msgspec.Struct:
    names = schema.__struct_encode_fields__
    for given in options:
        if given not in names:
            raise _unknown(f"option of {kind!r}", given, names, param=f"options.{given}"[:100])
    try:
        return msgspec.convert(dict(options), schema)
    except msgspec.ValidationError as error:
        raise _unfit(kind, str(error)) from None


def _unfit(kind: str, reason: str) -> InvalidRequest:
    told, _, place = reason.partition(" - at `$")
    field = place.rstrip("`").lstrip(".")
    where = f" (at {field!r})" if field else ""
    return InvalidRequest(
        f"The options do not fit the guardrail kind {kind!r}: {told.rstrip('.')}{where}.",
        param=f"options.{field}" if field else "options",
    )


def _unknown(what: str, given: str, known: Iterable[str], *, param: str) -> InvalidRequest:
    names = list(known)
    near = get_close_matches(given, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(names) or 'none'}."
    return InvalidRequest(f"There is no {what} called {given[:100]!r}.", hint=hint, param=param)
