"""How the health of targets is written in Redis: a hash with a field for each piece of news.

A target has two fields, one for its breaker and one for its cooling, because each may outlast the
other. Times are milliseconds of Redis's clock, so the clocks of hosts may differ. Only names,
states and codes of errors are written: nothing of a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from torana.routing.health import HealthNews

_OVER_MS = 60_000
"""For which an entry is kept after its time, so that everybody has heard of it."""


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field's value.

    Attributes:
        owner: the process that wrote it.
        kind: see `HealthNews`.
        until: when its time is over.
        at: when it happened.
        opens, reason: see `HealthNews`.
    """

    owner: str
    kind: Literal["open", "closed", "cooling"]
    until: int
    at: int
    opens: int = 0
    reason: str | None = None


_entries = msgspec.json.Decoder(_Entry)
_fields = msgspec.json.Decoder(tuple[str, str, bool])


def field_of(news: HealthNews) -> bytes:
    """The field that news of a target are written to."""
    return msgspec.json.encode((news.provider, news.model, news.kind == "cooling"))


def entry_of(news: HealthNews, *, owner: str, now: int) -> bytes:
    """The value of its field.

    Args:
        news: as it is at present.
        owner: the process that tells it.
        now: milliseconds of Redis's clock.
    """
    return msgspec.json.encode(
        _Entry(
            owner=owner,
            kind=news.kind,
            until=now + round(news.wait * 1000),
            at=now - round(news.age * 1000),
            opens=news.opens,
            reason=news.reason,
        )
    )


def news_of(field: bytes, value: bytes, *, owner: str, now: int) -> HealthNews | None:
    """What a field says; None when `owner` wrote it, or it is not ours to read.

    Args:
        field: its name.
        value: its value.
        owner: the process that reads it.
        now: milliseconds of Redis's clock.
    """
    try:
        provider, model, _ = _fields.decode(field)
        entry = _entries.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if entry.owner == owner:
        return None
    return HealthNews(
        provider=provider,
        model=model,
        kind=entry.kind,
        wait=max(0, entry.until - now) / 1000,
        age=max(0, now - entry.at) / 1000,
        opens=max(0, entry.opens),
        reason=entry.reason,
    )


def over(table: Mapping[bytes, bytes], now: int) -> list[bytes]:
    """The fields that nobody needs any more, and those that nobody can read."""
    return [field for field, value in table.items() if _is_over(value, now)]


def _is_over(value: bytes, now: int) -> bool:
    try:
        return now > _entries.decode(value).until + _OVER_MS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
