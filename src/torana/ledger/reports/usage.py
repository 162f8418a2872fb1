"""Sums of what was used, by whatever they are asked by, in any time zone.

Whole quarters of an hour come from the rollups. Where the asked time begins or ends within one,
that rest is summed up from ledger entries: a report is exact to the microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Integer, Select, cast, func, select
from sqlalchemy.orm import Session

from torana.db.models import LedgerEntry, UsageRollup
from torana.errors import ValidationFailed
from torana.ledger.reports.filters import ALL, Filter, Table, names_of
from torana.ledger.reports.local_time import (
    UNITS,
    label_of,
    local_of,
    offset_of,
    offsets,
    unit_start,
)
from torana.ledger.reports.periods import Period
from torana.ledger.rollups import whole_buckets
from torana.ledger.tag_column import tag_of

GROUPS = (
    *("model", "provider", "target_model", "key", "user", "project", "end_user", "status"),
    *UNITS,
)
"""What can be summed by, besides `tag:NAME`."""
TAG = "tag:"
UTC_ZONE = ZoneInfo("UTC")
_COLUMNS = {
    "model": "model",
    "provider": "provider",
    "target_model": "target_model",
    "key": "key_id",
    "user": "user_id",
    "project": "project_id",
    "end_user": "end_user",
    "status": "status",
}
NAMED = {"project": "project_name", "key": "key_name", "user": "user_email"}
"""Groups by id, and what the name that people use is called beside it."""
_SUMS = {
    "input_tokens": (
        *("input_tokens", "cached_tokens", "cache_write_tokens"),
        *("cache_write_1h_tokens", "input_audio_tokens", "input_image_tokens"),
    ),
    "cached_tokens": ("cached_tokens",),
    "cache_write_tokens": ("cache_write_tokens", "cache_write_1h_tokens"),
    "output_tokens": (
        *("output_tokens", "reasoning_tokens"),
        *("output_audio_tokens", "output_image_tokens"),
    ),
    "reasoning_tokens": ("reasoning_tokens",),
    "images": ("images",),
    "characters": ("characters",),
    "audio_seconds": ("audio_seconds",),
    "searches": ("searches",),
    "cost_nano": ("cost_nano",),
}
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What was used.

    Attributes:
        calls: a correction is none.
        input_tokens: of all classes: cached_tokens and cache_write_tokens are parts of them.
        output_tokens: of all classes: reasoning_tokens are a part of them.
    """

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    characters: int = 0
    audio_seconds: int = 0
    searches: int = 0
    cost_nano: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in FIGURES})


FIGURES = Sums.__struct_fields__
NOTHING = Sums()


class UsageRow(Sums, frozen=True, kw_only=True):
    """What one group has used.

    Attributes:
        group: by name of the group, its value; ids of projects, keys and users.
        names: `project_name`, `key_name` and `user_email`, for groups by them; None for what is
            gone.
        previous: what it had used in the period before, if that was asked for.
    """

    group: dict[str, str | None]
    names: dict[str, str | None] = {}
    previous: Sums | None = None

    @property
    def change_nano(self) -> int | None:
        """How much more it has cost than in the period before."""
        return None if self.previous is None else self.cost_nano - self.previous.cost_nano

    @property
    def change_percent(self) -> str | None:
        """The same in percent, with one decimal; None where nothing was spent before."""
        if self.previous is None or self.previous.cost_nano <= 0:
            return None
        more, before = self.cost_nano - self.previous.cost_nano, self.previous.cost_nano
        tenths = (abs(more) * 2000 + before) // (2 * before)
        sign = "-" if more < 0 and tenths else ""
        return f"{sign}{tenths // 10}.{tenths % 10}"


class _Group(msgspec.Struct, frozen=True):
    """One thing to sum by: its expressions in a query."""

    name: str
    columns: tuple[ColumnElement[Any], ...]


def usage(
    session: Session,
    *,
    group_by: tuple[str, ...] = (),
    where: Filter = ALL,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: ZoneInfo = UTC_ZONE,
    previous: Period | None = None,
    most: int | None = None,
) -> list[UsageRow]:
    """Sums by group, dearest first; groups of time alone in their order.

    Args:
        session: a reading session.
        group_by: names of `GROUPS`, or `tag:NAME`; empty for one sum over all.
        where: only these calls.
        since: only calls admitted at or after it.
        until: only calls admitted before it.
        zone: of hours, days, weeks and months.
        previous: also tell what each group used in this other period. Its days are set beside
            those of the same place in the period: the third day beside the third.
        most: refuse more groups than this.

    Raises:
        ValidationFailed: there are more groups.
    """
    group_by = check_groups(group_by)
    now = _totals(session, group_by, where, since, until, zone, most)
    before: dict[tuple[Any, ...], Sums] = {}
    if previous is not None:
        shift = _shift(since, previous, zone)
        totals = _totals(session, group_by, where, previous.start, previous.end, zone, most)
        for key, sums in totals.items():
            moved = tuple(
                shift(part, name) if name in UNITS else part
                for part, name in zip(key, group_by, strict=True)
            )
            before[moved] = before.get(moved, NOTHING) + sums
    if not group_by:
        now = now or {(): NOTHING}
    keys = list(dict.fromkeys([*now, *before]))
    labels = {key: _labels(group_by, key) for key in keys}
    names = _names(session, group_by, labels.values())
    rows = []
    for key in keys:
        sums = now.get(key, NOTHING)
        rows.append(
            UsageRow(
                group=labels[key],
                names={
                    NAMED[name]: names[name].get(value or "")
                    for name, value in labels[key].items()
                    if name in NAMED
                },
                previous=None if previous is None else before.get(key, NOTHING),
                **{name: getattr(sums, name) for name in FIGURES},
            )
        )
    return sorted(rows, key=_order(group_by))


def total_of(rows: Iterable[UsageRow]) -> UsageRow:
    """The sum over all rows of a report."""
    total, before, compared = NOTHING, NOTHING, False
    for row in rows:
        total += row
        if row.previous is not None:
            before, compared = before + row.previous, True
    figures = {name: getattr(total, name) for name in FIGURES}
    return UsageRow(group={}, previous=before if compared else None, **figures)


def check_groups(group_by: tuple[str, ...]) -> tuple[str, ...]:
    """The same without repetitions.

    Raises:
        ValidationFailed: one is unknown.
    """
    for name in group_by:
        if name not in GROUPS and not (name.startswith(TAG) and len(name) > len(TAG)):
            raise _refusal(f"{name[:40]!r} is not one of {', '.join(GROUPS)} or tag:NAME")
    return tuple(dict.fromkeys(group_by))


def _totals(
    session: Session,
    group_by: tuple[str, ...],
    where: Filter,
    since: datetime | None,
    until: datetime | None,
    zone: ZoneInfo,
    most: int | None,
) -> dict[tuple[Any, ...], Sums]:
    """The sums by the groups' values; a value of time is a local time and its offset."""
    found: dict[tuple[Any, ...], Sums] = {}
    segments = _segments(session, zone, since, until) if set(group_by) & set(UNITS) else []
    # A month is asked for by its days.
    limit = None if most is None else most * (31 if "month" in group_by else 1)
    for table, start, end in _pieces(since, until):
        query = _query(session, table, group_by, segments).where(*where.conditions(table))
        instant = _instant_of(table)
        if start is not None:
            query = query.where(instant >= start)
        if end is not None:
            query = query.where(instant < end)
        if limit is not None:
            query = query.limit(limit + 1)
        rows = session.execute(query).all()
        if limit is not None and most is not None and len(rows) > limit:
            raise _too_many(most)
        for row in rows:
            if row[0] == 0 and row[1] == 0:
                continue  # What an aggregate without groups says of no rows at all.
            key = tuple(_values(group_by, row[2 + len(_SUMS) :]))
            sums = Sums(calls=int(row[1]), **dict(zip(_SUMS, map(int, row[2:]), strict=False)))
            found[key] = found.get(key, NOTHING) + sums
    if most is not None and len(found) > most:
        raise _too_many(most)
    return found


def _too_many(most: int) -> ValidationFailed:
    return _refusal(f"there are more than {most} groups; sum by less, or over a shorter time")


def _refusal(message: str) -> ValidationFailed:
    return ValidationFailed(
        f"The request is not valid: group_by: {message}.",
        problems=({"field": "group_by", "message": message},),
    )


def _pieces(
    since: datetime | None, until: datetime | None
) -> Iterator[tuple[Table, datetime | None, datetime | None]]:
    """The tables that a stretch of time is summed up from, each with its part of it."""
    whole = whole_buckets(since or _START, until)
    if whole is None:
        yield LedgerEntry, since, until
        return
    first, last = whole
    yield UsageRollup, None if since is None else first, last
    if since is not None and since < first:
        yield LedgerEntry, since, first
    if until is not None and last is not None and last < until:
        yield LedgerEntry, last, until


def _query(
    session: Session,
    table: Table,
    group_by: tuple[str, ...],
    segments: list[tuple[datetime, timedelta]],
) -> Select[Any]:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    instant = _instant_of(table)
    groups: list[ColumnElement[Any]] = []
    for name in group_by:
        if name in UNITS:
            groups.append(unit_start(instant, name, segments, is_sqlite=is_sqlite))
            if name == "hour":
                groups.append(offset_of(instant, segments, is_sqlite=is_sqlite))
        elif name.startswith(TAG):
            groups.append(tag_of(table.tags, name[len(TAG) :]))
        else:
            groups.append(getattr(table, _COLUMNS[name]))
    calls = (
        func.sum(UsageRollup.calls)
        if table is UsageRollup
        else func.sum(cast(LedgerEntry.seq == 0, Integer))
    )
    sums = [
        func.coalesce(func.sum(_plus(table, columns)), 0).label(name)
        for name, columns in _SUMS.items()
    ]
    named = [group.label(f"group_{number}") for number, group in enumerate(groups)]
    columns: list[ColumnElement[Any]] = [func.count(), func.coalesce(calls, 0), *sums, *named]
    return select(*columns).group_by(*named)


def _plus(table: Table, columns: tuple[str, ...]) -> Any:
    total: Any = getattr(table, columns[0])
    for name in columns[1:]:
        total += getattr(table, name)
    return total


def _instant_of(table: Table) -> Any:
    return UsageRollup.bucket_start if table is UsageRollup else LedgerEntry.admitted_at


def _segments(
    session: Session, zone: ZoneInfo, since: datetime | None, until: datetime | None
) -> list[tuple[datetime, timedelta]]:
    """The zone's offsets over the time that is asked for and that there are calls of."""
    bounds = session.execute(
        select(func.min(UsageRollup.bucket_start), func.max(UsageRollup.bucket_start))
    ).one()
    first: datetime | None = bounds[0]
    last: datetime | None = bounds[1]
    if first is None or last is None:
        return offsets(zone, _START, _START)
    start = first if since is None else max(since, first)
    end = last if until is None else min(until, last)
    return offsets(zone, start - timedelta(days=1), max(start, end) + timedelta(days=1))


def _values(group_by: tuple[str, ...], row: Any) -> Iterator[Any]:
    columns = iter(row)
    for name in group_by:
        value = next(columns)
        if name not in UNITS:
            yield None if value is None else str(value)
            continue
        offset = timedelta(0)
        if name == "hour":
            told = next(columns)
            offset = told if isinstance(told, timedelta) else timedelta(microseconds=int(told))
        yield local_of(value, name), offset


def _shift(since: datetime | None, previous: Period, zone: ZoneInfo) -> Any:
    """How a unit of the period before is set beside one of the period."""
    start = (since or previous.end).astimezone(zone).replace(tzinfo=None)
    before = previous.start.astimezone(zone).replace(tzinfo=None)
    months = (start.year - before.year) * 12 + start.month - before.month

    def shift(part: tuple[datetime, timedelta], unit: str) -> tuple[datetime, timedelta]:
        local, offset = part
        if unit == "month":
            number = local.year * 12 + local.month - 1 + months
            return local.replace(year=number // 12, month=number % 12 + 1), offset
        if unit != "hour":
            days = (start.date() - before.date()).days
            if unit == "week":
                days -= start.weekday() - before.weekday()
            return local + timedelta(days=days), offset
        moved = local + (start - before)
        return moved, moved.replace(tzinfo=zone).utcoffset() or timedelta(0)

    return shift


def _labels(group_by: tuple[str, ...], key: tuple[Any, ...]) -> dict[str, str | None]:
    return {
        name: label_of(part[0], name, part[1]) if name in UNITS else part
        for name, part in zip(group_by, key, strict=True)
    }


def _names(
    session: Session, group_by: tuple[str, ...], labels: Iterable[Mapping[str, str | None]]
) -> dict[str, Mapping[str, str]]:
    groups = list(labels)
    return {
        name: names_of(session, name, sorted({group[name] or "" for group in groups} - {""}))
        for name in group_by
        if name in NAMED
    }


def _order(group_by: tuple[str, ...]) -> Any:
    """Groups of time alone read best in their order, everything else dearest first."""
    in_time = bool(group_by) and all(name in UNITS for name in group_by)

    def key(row: UsageRow) -> tuple[Any, ...]:
        texts = [value or "" for value in row.group.values()]
        return (texts,) if in_time else (-row.cost_nano, texts)

    return key
