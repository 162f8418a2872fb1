"""The windows of a budget: which stretch of time an instant falls into, and what terms are sound.

Days, weeks (from Monday) and months begin at midnight in the budget's time zone. A midnight that a
clock change leaves out is the first instant after it; of one that comes twice, the first counts.
So the windows of a budget follow one another without a gap and without sharing an instant.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from torana.core.clock import instant_at
from torana.errors import InvalidRequest
from torana.ledger.terms import BudgetTerms

SECOND = 1_000_000
"""Instants are microseconds since 1970 in UTC."""
MODES = ("refuse", "clamp")
SHORTEST_INTERVAL = 60
LONGEST_INTERVAL = 10 * 366 * 86_400
MOST_THRESHOLDS = 10
HIGHEST_THRESHOLD = 1000
MODEL_LIMIT = 200
MODELS_LIMIT = 1000
LARGEST_AMOUNT = 2**63 - 1
"""What a column holds."""
_LAST_START = 253_000_000_000 * SECOND
"""Late in the year 9987: what follows has no date any more."""
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- a local time, without its zone on purpose
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


def window_at(terms: BudgetTerms, now_us: int) -> tuple[int, int | None]:
    """The window that an instant falls into.

    Args:
        terms: of the budget; `check_terms` has passed them.
        now_us: the instant, in microseconds since 1970 (UTC).

    Returns:
        Its start and its end, which is no part of it; the end is None when it never ends.
    """
    if terms.period == "total":
        return terms.starts_at, None
    if terms.period == "interval":
        length = terms.interval_seconds * SECOND
        start = now_us - (now_us - terms.starts_at) % length
        return start, start + length
    zone = ZoneInfo(terms.zone)
    first, following = _CALENDAR[terms.period]
    day = first(instant_at(now_us).astimezone(zone).date())
    start = _midnight(day, zone)
    # After a midnight that came twice, the clock may show the day before again.
    while True:
        after = following(day)
        end = _midnight(after, zone)
        if now_us < end:
            break
        day, start = after, end
    while now_us < start:
        day = first(day - _DAY)
        start, end = _midnight(day, zone), start
    return start, end


def limit_at(terms: BudgetTerms, now_us: int) -> int:
    """The most that may be spent in the present window: the amount, and a raise while it lasts."""
    return terms.amount_nano + terms.raise_at(now_us)


def highest_reached(thresholds: tuple[int, ...], spent_nano: int, limit_nano: int) -> int:
    """The highest threshold, in percent, that the spending has reached; 0 for none."""
    return max((item for item in thresholds if spent_nano * 100 >= item * limit_nano), default=0)


def period_names() -> tuple[str, ...]:
    """The periods that a budget can have."""
    return (*_CALENDAR, "total", "interval")


def check_terms(terms: BudgetTerms, *, now_us: int) -> None:
    """Refuse terms that make no sense.

    Args:
        terms: of a budget that is made or changed.
        now_us: the present, in microseconds since 1970.

    Raises:
        InvalidRequest: what is wrong, with the parameter's name.
    """
    if not 0 <= terms.amount_nano <= LARGEST_AMOUNT:
        raise InvalidRequest("A budget's amount is zero or more dollars.", param="amount")
    if terms.period not in period_names():
        raise InvalidRequest(
            f"A budget's period is one of {', '.join(period_names())}.", param="period"
        )
    if terms.mode not in MODES:
        raise InvalidRequest(f"A budget's mode is one of {', '.join(MODES)}.", param="mode")
    check_zone(terms.zone)
    _check_interval(terms, now_us)
    _check_thresholds(terms.thresholds)
    check_models(terms.models)
    if terms.raise_nano or terms.raise_until:
        _check_raise(terms, now_us)


def check_zone(zone: str) -> None:
    """Refuse the name of a time zone that there isn't.

    Raises:
        InvalidRequest: with the names that are most like it.
    """
    known = available_timezones() - {"localtime"}  # That one differs from host to host.
    if zone in known:
        return
    by_folded = {name.casefold(): name for name in known}
    by_folded |= {name.casefold().rpartition("/")[2]: name for name in sorted(known)}
    near = difflib.get_close_matches(zone.casefold()[:64], by_folded, n=6, cutoff=0.6)
    names = list(dict.fromkeys(by_folded[name] for name in near))[:3]
    raise InvalidRequest(
        f"There is no time zone {zone[:64]!r}.",
        hint=f"Do you mean {' or '.join(names)}?" if names else "Use a name like Europe/Berlin.",
        param="time_zone",
    )


def check_models(models: tuple[str, ...] | None) -> None:
    """Refuse a list of models that could never match.

    Raises:
        InvalidRequest: a name is empty, too long, or has a `*` that is not its end.
    """
    if models is None:
        return
    if len(models) > MODELS_LIMIT:
        raise InvalidRequest(f"At most {MODELS_LIMIT} models can be listed.", param="models")
    for name in models:
        if not name.strip() or len(name) > MODEL_LIMIT:
            raise InvalidRequest(
                f"A model's name has 1 to {MODEL_LIMIT} characters.", param="models"
            )
        if "*" in name[:-1]:
            raise InvalidRequest(
                f"In {name!r} the '*' is not at the end; only a beginning can be given so.",
                param="models",
            )


def _check_interval(terms: BudgetTerms, now_us: int) -> None:
    if terms.period == "interval":
        if not SHORTEST_INTERVAL <= terms.interval_seconds <= LONGEST_INTERVAL:
            raise InvalidRequest(
                f"An interval has {SHORTEST_INTERVAL} to {LONGEST_INTERVAL} seconds.",
                param="interval_seconds",
            )
    elif terms.interval_seconds:
        raise InvalidRequest(
            "Only a budget of the period 'interval' has interval_seconds.",
            param="interval_seconds",
        )
    if terms.period not in {"interval", "total"} and terms.starts_at:
        raise InvalidRequest(
            "Only a budget of the period 'interval' or 'total' has a start; days, weeks and months "
            "begin at midnight in its time zone.",
            param="starts_at",
        )
    if not 0 <= terms.starts_at <= _LAST_START:
        raise InvalidRequest("A start is an instant since 1970.", param="starts_at")
    if terms.period == "total" and terms.starts_at > now_us:
        raise InvalidRequest(
            "A total that begins in the future would count nothing until then.", param="starts_at"
        )


def _check_thresholds(thresholds: tuple[int, ...]) -> None:
    rising = all(low < high for low, high in itertools.pairwise(thresholds))
    within = all(1 <= item <= HIGHEST_THRESHOLD for item in thresholds)
    if not rising or not within or len(thresholds) > MOST_THRESHOLDS:
        raise InvalidRequest(
            f"Thresholds are at most {MOST_THRESHOLDS} percents from 1 to {HIGHEST_THRESHOLD}, "
            "each higher than the one before it.",
            param="thresholds",
        )


def _check_raise(terms: BudgetTerms, now_us: int) -> None:
    if terms.raise_nano <= 0 or terms.amount_nano + terms.raise_nano > LARGEST_AMOUNT:
        raise InvalidRequest("A raise is an amount above zero.", param="amount")
    if not now_us < terms.raise_until <= _LAST_START:
        raise InvalidRequest("A raise needs an end in the future.", param="until")


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first instant at which the zone's clocks show this day, or a later one."""
    local = datetime(day.year, day.month, day.day)  # noqa: DTZ001 -- the zone is added below
    wall = (local - _NAIVE_EPOCH) // _MICROSECOND
    # PEP 495: of a local time that comes twice, fold=0 is the first.
    guess = wall - _offset(local.replace(tzinfo=zone))
    if guess + _offset_at(guess, zone) == wall:
        return guess
    # A gap: with the old offset midnight is after the change, with the new one before it.
    low = (wall - _offset(local.replace(tzinfo=zone, fold=1))) // SECOND
    high = guess // SECOND
    while low < high:
        middle = (low + high) // 2
        if middle * SECOND + _offset_at(middle * SECOND, zone) >= wall:
            high = middle
        else:
            low = middle + 1
    return low * SECOND


def _offset_at(instant_us: int, zone: ZoneInfo) -> int:
    return _offset(instant_at(instant_us).astimezone(zone))


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset // _MICROSECOND


def _first_of_week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_next_month(day: date) -> date:
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)


_CALENDAR: dict[str, tuple[Callable[[date], date], Callable[[date], date]]] = {
    "day": (lambda day: day, lambda day: day + _DAY),
    "week": (_first_of_week, lambda day: day + _WEEK),
    "month": (lambda day: day.replace(day=1), _first_of_next_month),
}
"""By period: the first day of the period that a day is in, and the first day of the next."""
