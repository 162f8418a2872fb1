"""Hours, days, weeks and months of a time zone, as SQL expressions over UTC instants.

The offsets come from Python's time zone database, as those of budgets' windows do: a database
server's own may be of another year, and SQLite has none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, DateTime, Interval, case, cast, func, literal
from sqlalchemy.sql.elements import ColumnElement

UNITS = ("hour", "day", "week", "month")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- local time, without its zone on purpose
_MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001
_LENGTHS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    # Months are put together from days, of which there are few.
    "month": timedelta(days=1),
}
_MICROSECOND = timedelta(microseconds=1)


def offsets(zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, timedelta]]:
    """The zone's offsets from UTC in a stretch of time, each with the instant it begins at.

    The first holds for all time before the second.
    """
    steps = max((end - start) // timedelta(days=1), 0) + 2
    days = [start.astimezone(UTC) + timedelta(days=number) for number in range(steps)]
    found = [(days[0], _offset(zone, days[0]))]
    for before, after in pairwise(days):
        if _offset(zone, before) != _offset(zone, after):
            found.append((_change(zone, before, after), _offset(zone, after)))
    return found


def unit_start(
    column: Any, unit: str, segments: list[tuple[datetime, timedelta]], *, is_sqlite: bool
) -> ColumnElement[Any]:
    """The local time at which an instant's unit begins; see `label_of`.

    Args:
        column: instants.
        unit: one of `UNITS`; for a month, the beginning of the day.
        segments: the `offsets` of the zone over all of the instants.
        is_sqlite: whether instants are microseconds.
    """
    if is_sqlite:
        origin = (_MONDAY if unit == "week" else _EPOCH) - _EPOCH
        length = _LENGTHS[unit] // _MICROSECOND
        shift = offset_of(column, segments, is_sqlite=True) - literal(origin // _MICROSECOND)
        # No call was admitted before 1970 plus a week, so truncation is no matter.
        return (cast(column, BigInteger) + shift) // literal(length)
    local = func.timezone("UTC", column) + offset_of(column, segments, is_sqlite=False)
    origin_column = literal(_MONDAY if unit == "week" else _EPOCH, DateTime(timezone=False))
    return func.date_bin(literal(_LENGTHS[unit], Interval()), local, origin_column)


def offset_of(
    column: Any, segments: list[tuple[datetime, timedelta]], *, is_sqlite: bool
) -> ColumnElement[Any]:
    """The zone's offset at an instant: an interval, or microseconds on SQLite."""
    values: list[ColumnElement[Any]] = [
        literal(offset // _MICROSECOND, BigInteger()) if is_sqlite else literal(offset, Interval())
        for _, offset in segments
    ]
    if len(values) == 1:
        return values[0]
    ends = [start for start, _ in segments[1:]]
    return case(
        *((column < end, value) for end, value in zip(ends, values, strict=False)),
        else_=values[-1],
    )


def local_of(value: Any, unit: str) -> datetime:
    """What `unit_start` gave, as a local time; of a month its first day."""
    if isinstance(value, datetime):
        local = value
    else:
        origin = _MONDAY if unit == "week" else _EPOCH
        local = origin + int(value) * _LENGTHS[unit]
    return local.replace(day=1) if unit == "month" else local


def label_of(local: datetime, unit: str, offset: timedelta) -> str:
    """How a unit is written: an hour with its offset, because clock changes make one come twice."""
    if unit == "hour":
        minutes = round(offset / timedelta(minutes=1))
        sign = "-" if minutes < 0 else "+"
        return f"{local:%Y-%m-%dT%H:%M}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    if unit == "month":
        return f"{local:%Y-%m}"
    if unit == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    return f"{local:%Y-%m-%d}"


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant between two others at which the offset changes, to the second."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
