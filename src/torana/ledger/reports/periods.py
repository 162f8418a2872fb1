"""Instants and periods as people ask for them: ISO 8601, or a word such as `last-month`.

What names no offset is read in the time zone that was asked for. Months and days are those of that
zone: a day in which the clocks change has 23 or 25 hours. A period holds its first instant and
not its last.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

import aniso8601
import msgspec
from aniso8601.builders import DateTuple as DateParts
from aniso8601.builders import DurationTuple as DurationParts
from aniso8601.builders import TupleBuilder
from aniso8601.builders.python import PythonTimeBuilder

from torana.errors import ValidationFailed

WORDS = (
    *("today", "yesterday", "this-week", "last-week"),
    *("this-month", "last-month", "this-year", "last-year"),
)
T = TypeVar("T")
_LONGEST_TEXT = 80
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9000, 1, 1, tzinfo=UTC)
_INSTANT_HELP = (
    "write a date such as 2026-11-01, or an instant such as 2026-11-01T09:30 or "
    "2026-11-01T09:30:00Z"
)
_PERIOD_HELP = (
    f"write an interval such as 2026-11-01/P1M, P1D/2026-11-02 or 2026-11-01/2026-11-15, a month "
    f"such as 2026-11, a day such as 2026-11-05, or one of {', '.join(WORDS)}"
)


class Step(msgspec.Struct, frozen=True):
    """A length of time: months and days of the calendar, then time that has passed."""

    months: int = 0
    days: int = 0
    rest: timedelta = timedelta(0)

    def __neg__(self) -> Step:
        return Step(-self.months, -self.days, -self.rest)


class Period(msgspec.Struct, frozen=True):
    """From `start` until before `end`, in a time zone.

    Attributes:
        step: its length as it was asked for, by which the period before is found; None if it is
            just the time between two instants.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo
    step: Step | None = None

    def previous(self) -> Period:
        """The period of the same kind directly before: before a month, the month before it."""
        if self.step is None:
            whole_days = _local(self.end, self.zone) - _local(self.start, self.zone)
            if not whole_days % timedelta(days=1):
                step = Step(days=whole_days.days)
            else:
                step = Step(rest=self.end - self.start)
        else:
            step = self.step
        return Period(moved(self.start, -step, self.zone), self.start, self.zone, self.step)


class Span(msgspec.Struct, frozen=True):
    """From when until when; None where it is open.

    Attributes:
        period: the same, where both ends are known.
    """

    since: datetime | None
    until: datetime | None
    zone: ZoneInfo
    period: Period | None


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        ValidationFailed: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise _refusal(
            "time_zone", f"{name[:40]!r} is no time zone; write an IANA name such as Europe/Berlin"
        ) from None


def parse_instant(text: str, zone: ZoneInfo, *, field: str) -> datetime:
    """An instant; a date stands for its midnight in the zone.

    Args:
        text: as it was asked.
        zone: of what names no offset.
        field: what to call it in an error.

    Raises:
        ValidationFailed: it is not ISO 8601, or too far away.
    """
    return _parsed(partial(_instant, text, zone), text, field, _INSTANT_HELP)


def parse_period(text: str, zone: ZoneInfo, *, now: datetime) -> Period:
    """A period, by its two ends, by one end and its length, by a date, or by a word.

    Args:
        text: as it was asked.
        zone: of what names no offset, and of months and days.
        now: the present instant, for words.

    Raises:
        ValidationFailed: it is none of these, or it ends before it begins.
    """
    read: Callable[[], Period]
    if text in WORDS:
        read = partial(_of_word, text, zone, now)
    elif "/" in text:
        read = partial(_interval, text, zone)
    else:
        read = partial(_of_date, text, zone)
    period = _parsed(read, text, "period", _PERIOD_HELP)
    if period.end <= period.start:
        raise _refusal("period", f"{text[:40]!r} ends before it begins; {_PERIOD_HELP}")
    return period


def parse_span(
    *, period: str | None, since: str | None, until: str | None, zone: ZoneInfo, now: datetime
) -> Span:
    """The time that somebody asks about: a period, or what lies between two instants.

    Raises:
        ValidationFailed: one of the texts can't be read.
    """
    if period is not None:
        whole = parse_period(period, zone, now=now)
        return Span(whole.start, whole.end, zone, whole)
    start, end = (
        None if text is None else parse_instant(text, zone, field=field)
        for field, text in (("since", since), ("until", until))
    )
    if start is None or end is None or end <= start:
        return Span(start, end, zone, None)
    return Span(start, end, zone, Period(start, end, zone))


def moved(instant: datetime, step: Step, zone: ZoneInfo) -> datetime:
    """The instant one step later, on the zone's calendar; a day that is missing is the last."""
    if step.months or step.days:
        local = _local(instant, zone)
        months = local.year * 12 + local.month - 1 + step.months
        first = local.replace(year=months // 12, month=months % 12 + 1, day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        day = min(local.day, (following - timedelta(days=1)).day)
        instant = _at(first.replace(day=day) + timedelta(days=step.days), zone)
    return instant + step.rest


def _parsed(read: Callable[[], T], text: str, field: str, advice: str) -> T:
    problem = f"{text[:40]!r} can't be read; {advice}"
    if len(text) > _LONGEST_TEXT or not text.isascii():
        raise _refusal(field, problem)
    try:
        value = read()
        ends = (value.start, value.end) if isinstance(value, Period) else (value,)
        if all(isinstance(end, datetime) and _FIRST <= end <= _LAST for end in ends):
            return value
        problem = f"{text[:40]!r} is not between the years 1970 and 9000"
    except (ValueError, TypeError, OverflowError, NotImplementedError, InvalidOperation):
        pass
    raise _refusal(field, problem)


def _refusal(field: str, problem: str) -> ValidationFailed:
    return ValidationFailed(
        f"The request is not valid: {field}: {problem}.",
        problems=({"field": field, "message": problem},),
    )


def _instant(text: str, zone: ZoneInfo) -> datetime:
    _, separator, clock = text.upper().partition("T")
    if separator:
        instant = aniso8601.parse_datetime(text.upper())
        if clock.startswith("24"):
            # Midnight at the day's end, which the library takes for the one at its beginning.
            instant += timedelta(days=1)
        return _at(instant, zone) if instant.tzinfo is None else instant.astimezone(UTC)
    return _at(datetime.combine(aniso8601.parse_date(text), time()), zone)


def _of_word(word: str, zone: ZoneInfo, now: datetime) -> Period:
    today = now.astimezone(zone).date()
    which, _, unit = word.partition("-")
    if not unit:
        first, step = today, Step(days=1)
    elif unit == "week":
        first, step = today - timedelta(days=today.weekday()), Step(days=7)
    elif unit == "month":
        first, step = today.replace(day=1), Step(months=1)
    else:
        first, step = today.replace(month=1, day=1), Step(months=12)
    period = _from(first, step, zone)
    return period.previous() if which in {"yesterday", "last"} else period


def _of_date(text: str, zone: ZoneInfo) -> Period:
    parts: DateParts = aniso8601.parse_date(text.upper(), builder=TupleBuilder)
    if parts.Www is not None and parts.D is None:
        step = Step(days=7)
    elif parts.MM is not None and parts.DD is None:
        step = Step(months=1)
    elif parts.DD is None and parts.D is None and parts.DDD is None:
        step = Step(months=12)
    else:
        step = Step(days=1)
    return _from(aniso8601.parse_date(text.upper()), step, zone)


def _from(first: date, step: Step, zone: ZoneInfo) -> Period:
    start = _at(datetime.combine(first, time()), zone)
    return Period(start, moved(start, step, zone), zone, step)


def _interval(text: str, zone: ZoneInfo) -> Period:
    left, _, right = text.upper().partition("/")
    parts = aniso8601.parse_interval(text.upper(), builder=TupleBuilder)
    if parts.duration is None:
        named = getattr(parts.end, "date", parts.end)
        concise = getattr(named, "YYYY", None) is None
        start = _instant(left, zone)
        end = _concise_end(left, right, zone) if concise else _instant(right, zone)
        return Period(start, end, zone, _calendar_step(start, end, zone))
    step = _step(parts.duration)
    if parts.end is None:
        start = _instant(left, zone)
        return Period(start, moved(start, step, zone), zone, step)
    end = _instant(right, zone)
    return Period(moved(end, -step, zone), end, zone, step)


def _concise_end(left: str, right: str, zone: ZoneInfo) -> datetime:
    """The end of an interval that leaves out what it shares with the start."""
    end = aniso8601.parse_interval(f"{left}/{right}", builder=PythonTimeBuilder)[1]
    if not isinstance(end, datetime):
        end = datetime.combine(end, time())
    return _at(end, zone) if end.tzinfo is None else end.astimezone(UTC)


def _calendar_step(start: datetime, end: datetime, zone: ZoneInfo) -> Step | None:
    """Whole months, if that is what lies between two instants."""
    first, last = _local(start, zone), _local(end, zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    if months > 0 and first.day == 1 and (first.day, first.time()) == (last.day, last.time()):
        return Step(months=months)
    return None


def _step(parts: DurationParts) -> Step:
    whole = [int(part or 0) for part in (parts.PnY, parts.PnM, parts.PnW, parts.PnD)]
    hours, minutes, seconds = (
        Decimal((part or "0").replace(",", ".")) for part in (parts.TnH, parts.TnM, parts.TnS)
    )
    microseconds = int((hours * 3600 + minutes * 60 + seconds) * 1_000_000)
    years, months, weeks, days = whole
    return Step(years * 12 + months, weeks * 7 + days, timedelta(microseconds=microseconds))


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def _at(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a local time: of two, the first; of one that is left out, the next."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)
