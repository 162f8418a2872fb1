"""How long a provider wants to be left alone, read from the answer that says so.

Providers tell it in many ways, which fall into few: `retry-after` and its kin name a time; pairs of
headers tell what is left of a limit and when it is full again (OpenAI's
`x-ratelimit-remaining-tokens` with `x-ratelimit-reset-tokens`, Anthropic's
`anthropic-ratelimit-tokens-remaining`, Mistral's `ratelimitbysize-remaining`), where a reset is a
duration (`6m0s`), a number of seconds, an instant of RFC 3339 or one of Unix time; Google writes it
into the error's details. Pure: the time comes as an argument, and what makes no sense is ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from torana.dialects.wire import BAD_JSON

LONGEST = 86_400.0
"""Seconds; whoever asks for more is asked again after a day."""

_LIMIT = re.compile(r"(?=.*limit)(.*)\bremaining\b(.*)", re.IGNORECASE)
"""The name of a header that tells what is left of a limit."""
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|d|h|m|s)")
_UNITS = {
    "d": 86_400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_UNIX = 1e9
"""A number of this size is an instant since 1970, not a duration: it would be 31 years."""
_UNIX_MILLISECONDS = 1e12


def cooldown(headers: Mapping[str, str], now: datetime, body: bytes = b"") -> float | None:
    """Seconds for which a provider wants no more calls; None when it does not say.

    What it says outright counts. Otherwise all limits must be full again that are used up now.

    Args:
        headers: of its answer; their names in any case.
        now: aware.
        body: of the answer, or its beginning.
    """
    told = {name.lower(): value.strip() for name, value in headers.items()}
    outright = _milliseconds(told.get("retry-after-ms", ""))
    if outright is None:
        outright = _until(told.get("retry-after", ""), now)
    if outright is None:
        resets = [wait for reset in _resets(told) if (wait := _until(reset, now)) is not None]
        outright = max(resets, default=None)
    if outright is None:
        outright = _detailed(body)
    return None if outright is None else min(max(outright, 0.0), LONGEST)


def _resets(told: Mapping[str, str]) -> Iterator[str]:
    """When limits are full again of which nothing is left."""
    for name, left in told.items():
        found = _LIMIT.fullmatch(name)
        if found is not None and _number(left) == 0:
            yield told.get(f"{found[1]}reset{found[2]}", "")


def _until(text: str, now: datetime) -> float | None:
    """Seconds until what a header names: a number, a duration or an instant."""
    number = _number(text)
    if number is not None:
        if number < _UNIX:
            return number
        unix = number / 1000 if number >= _UNIX_MILLISECONDS else number
        return unix - now.timestamp()
    duration = _duration(text)
    if duration is not None:
        return duration
    instant = _instant(text)
    return None if instant is None else (instant - now).total_seconds()


def _milliseconds(text: str) -> float | None:
    number = _number(text)
    return None if number is None else number / 1000


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _duration(text: str) -> float | None:
    """As Go writes one: `6m0s`, `1.5s`, `120ms`."""
    end = 0
    seconds = 0.0
    for piece in _PIECE.finditer(text):
        if piece.start() != end:
            return None
        seconds += float(piece[1]) * _UNITS[piece[2]]
        end = piece.end()
    return seconds if text and end == len(text) and math.isfinite(seconds) else None


def _instant(text: str) -> datetime | None:
    """RFC 3339, or a date of HTTP (RFC 9110, section 5.6.7)."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = read(text)
        except (ValueError, OverflowError):
            continue
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    return None


class _Detail(msgspec.Struct, frozen=True):
    delay: str | None = msgspec.field(name="retryDelay", default=None)


class _Error(msgspec.Struct, frozen=True):
    details: tuple[_Detail, ...] = ()


class _Body(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def _detailed(body: bytes) -> float | None:
    """Google's `RetryInfo` (AIP-193), in an error or in a list of one."""
    try:
        read = msgspec.json.decode(body, type=_Body | list[_Body])
    except BAD_JSON:
        return None
    for found in read if isinstance(read, list) else [read]:
        for detail in found.error.details:
            wait = None if detail.delay is None else _duration(detail.delay)
            if wait is not None:
                return wait
    return None
