"""Whether a call uses the answer cache, and how: from the route, the key and the request. Pure."""

from __future__ import annotations

import re

import msgspec

from torana.errors import InvalidRequest
from torana.routing.routes import MOST_CACHE_SECONDS, CacheTerms

CACHE_HEADER = "x-torana-cache"
"""Of a request: what its caller wishes. Of an answer: `hit`, `miss` or `bypass`."""
DEFAULT_SECONDS = 300
_NUMBER = re.compile(r"[0-9]{1,9}")


class CacheWish(msgspec.Struct, frozen=True):
    """What a caller has said of the cache.

    Attributes:
        on: whether it shall be used.
        seconds: the greatest age of an answer that will do; None leaves it to the configuration.
    """

    on: bool
    seconds: int | None = None


def read_wish(text: str | None) -> CacheWish | None:
    """The wish in a request's header; None when there is no header.

    Args:
        text: `on`, `off` or a number of seconds.

    Raises:
        InvalidRequest: it is none of these.
    """
    if text is None:
        return None
    word = text.strip().lower()
    if word in {"on", "off"}:
        return CacheWish(on=word == "on")
    if _NUMBER.fullmatch(word) and 1 <= int(word) <= MOST_CACHE_SECONDS:
        return CacheWish(on=True, seconds=int(word))
    raise InvalidRequest(
        f"{CACHE_HEADER} must be 'on', 'off' or whole seconds from 1 to {MOST_CACHE_SECONDS}.",
        param=CACHE_HEADER,
    )


def cache_terms(
    wish: CacheWish | None, *, route: CacheTerms | None, key_seconds: int | None
) -> CacheTerms | None:
    """How a call uses the cache; None when it does not, and is neither read nor written.

    A caller may switch the cache on and shorten its time. What the configuration says is the most;
    and only a route can share answers beyond a project.

    Args:
        wish: the caller's, which counts most.
        route: of the route that was asked for, which counts least.
        key_seconds: of the API key; 0 switches the route's cache off, None says nothing.
    """
    configured = key_seconds if key_seconds is not None else _seconds_of(route)
    if wish is None:
        seconds = configured
    elif not wish.on:
        return None
    else:
        most = configured or _seconds_of(route)
        wished = wish.seconds or most or DEFAULT_SECONDS
        seconds = min(wished, most or wished)
    if not seconds:
        return None
    return msgspec.structs.replace(
        route or CacheTerms(seconds=seconds), seconds=min(seconds, MOST_CACHE_SECONDS)
    )


def _seconds_of(route: CacheTerms | None) -> int | None:
    return None if route is None else route.seconds
