"""Reading untyped JSON of a caller: checked values, errors that say where, names of the unread.

What Torana does not know is never passed over: its name goes into `ChatCall.unsaid`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from torana.core.chat import CacheMark
from torana.dialects.losses import Losses
from torana.errors import InvalidRequest

_CACHE = frozenset({"type", "ttl"})
_BREAKPOINT = frozenset({"mode", "ttl"})


def refuse(where: str, wanted: str) -> NoReturn:
    """Refuse a request.

    Args:
        where: the field, such as `messages[2].content[0].type`.
        wanted: what should be there.
    """
    raise InvalidRequest(f"Invalid value for '{where}': expected {wanted}.", param=where)


def a_text(value: Any, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        refuse(where, "a string")
    return value


def a_text_or_none(value: Any, where: str) -> str | None:
    """A text or nothing."""
    return None if value is None else a_text(value, where)


def a_flag_or_none(value: Any, where: str) -> bool | None:
    """True, False or nothing."""
    if value is not None and not isinstance(value, bool):
        refuse(where, "a boolean")
    return value


def a_number_or_none(value: Any, where: str) -> float | None:
    """A number or nothing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse(where, "a number")
    try:
        return float(value)
    except OverflowError:
        refuse(where, "a number")


def a_whole_or_none(value: Any, where: str) -> int | None:
    """A whole number or nothing."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        refuse(where, "a whole number")
    return value


def an_object(value: Any, where: str) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        refuse(where, "an object")
    return value


def an_object_or_none(value: Any, where: str) -> dict[str, Any] | None:
    """An object or nothing."""
    return None if value is None else an_object(value, where)


def a_list(value: Any, where: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        refuse(where, "an array")
    return value


def one_of(value: Any, where: str, allowed: Iterable[str]) -> str:
    """One of some texts."""
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        refuse(where, "one of " + ", ".join(f"'{name}'" for name in names))
    return value


def cache_mark(value: Any, where: str, unsaid: Losses) -> CacheMark | None:
    """A `cache_control`, as look-alikes of OpenAI's take it over from Anthropic."""
    given = an_object_or_none(value, where)
    if given is None:
        return None
    one_of(given.get("type"), f"{where}.type", ("ephemeral",))
    unsaid.rest(given, _CACHE, "cache_control")
    ttl = given.get("ttl")
    if ttl is None:
        return CacheMark()
    return CacheMark("1h" if one_of(ttl, f"{where}.ttl", ("5m", "1h")) == "1h" else "5m")


def breakpoint_mark(value: Any, where: str, unsaid: Losses) -> CacheMark | None:
    """OpenAI's `prompt_cache_breakpoint`.

    Its times to live are 30 minutes and 12 hours at least. An hour is the longest that a mark has,
    so one for more than 30 minutes is named.
    """
    given = an_object_or_none(value, where)
    if given is None:
        return None
    one_of(given.get("mode"), f"{where}.mode", ("explicit",))
    unsaid.rest(given, _BREAKPOINT, "prompt_cache_breakpoint")
    ttl = given.get("ttl")
    if ttl is None:
        return CacheMark()
    if a_text(ttl, f"{where}.ttl") != "30m":
        unsaid.add("prompt_cache_breakpoint.ttl")
    return CacheMark("1h")
