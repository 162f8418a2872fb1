"""Windows: they tile time in every time zone, and begin at the zone's midnights."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torana.errors import InvalidRequest
from torana.ledger.terms import BudgetTerms
from torana.ledger.windows import (
    check_terms,
    highest_reached,
    limit_at,
    period_names,
    window_at,
)

# The one in Python tells its transitions.
PythonZone: Any = importlib.import_module("zoneinfo._zoneinfo").ZoneInfo
ZONES = sorted(available_timezones())
SECOND = 1_000_000
FIRST = 0
LAST = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp()) * SECOND
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * SECOND


def terms(period: str = "day", zone: str = "UTC", **more: Any) -> BudgetTerms:
    fields: dict[str, Any] = {"amount_nano": 1, "period": period, "zone": zone}
    return BudgetTerms(**(fields | more))


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * SECOND)


def window(period: str, zone: str, text: str) -> tuple[str, str]:
    start, end = window_at(terms(period, zone), instant(text))
    assert end is not None
    return tuple(  # type: ignore[return-value]
        datetime.fromtimestamp(edge / SECOND, UTC).astimezone(ZoneInfo(zone)).isoformat()
        for edge in (start, end)
    )


def assert_tiles(made: BudgetTerms, now: int) -> None:
    """The window holds the instant, is the same for all of its instants, and has neighbours."""
    start, end = window_at(made, now)
    assert end is not None
    assert start <= now < end
    assert window_at(made, start) == (start, end)
    assert window_at(made, end - 1) == (start, end)
    assert window_at(made, end)[0] == end
    assert window_at(made, start - 1)[1] == start


def assert_begins_at_midnight(made: BudgetTerms, now: int) -> None:
    start, _ = window_at(made, now)
    local = datetime.fromtimestamp(start / SECOND, UTC).astimezone(ZoneInfo(made.zone))
    before = datetime.fromtimestamp(start / SECOND - 1, UTC).astimezone(ZoneInfo(made.zone))
    midnight = local.replace(hour=0, minute=0, second=0, tzinfo=None)
    is_midnight = local.replace(tzinfo=None) == midnight and local.fold == 0
    # The clocks went over midnight: they showed an earlier day a second ago.
    is_after_gap = before.replace(tzinfo=None) < midnight < local.replace(tzinfo=None)
    assert is_midnight or is_after_gap, (local, before)
    if made.period == "week" and is_midnight:
        assert local.weekday() == 0
    if made.period == "month" and is_midnight:
        assert local.day == 1


instants = st.integers(FIRST, LAST - 1)
periods = st.sampled_from(["day", "week", "month"])


@given(instants, periods, st.sampled_from(ZONES))
@settings(max_examples=1000, deadline=None)
def test_windows_tile_time_in_every_zone(now, period, zone):
    made = terms(period, zone)
    assert_tiles(made, now)
    assert_begins_at_midnight(made, now)


def test_days_tile_time_around_every_clock_change_near_midnight():
    seen = set()
    for zone in ZONES:
        offsets = PythonZone(zone)
        for change in offsets._trans_utc:
            before, after = (_local(change + shift, offsets) for shift in (-1, 0))
            is_near = min(before % 86_400, -after % 86_400) <= 3 * 3600
            # Zones that share a change behave alike around it.
            if change < FIRST or not is_near or (change, before, after) in seen:
                continue
            seen.add((change, before, after))
            made = terms("day", zone)
            for shift in (-1, 0, 1800):
                assert_tiles(made, (change + shift) * SECOND)
    assert len(seen) > 1000


def _local(seconds: int, zone: Any) -> int:
    utc = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=zone)
    offset = zone.fromutc(utc).utcoffset()
    return seconds + int(offset.total_seconds())


@given(instants, st.integers(60, 10 * 366 * 86_400), st.integers(0, LAST))
def test_intervals_tile_time_before_and_after_their_beginning(now, seconds, start):
    made = terms("interval", interval_seconds=seconds, starts_at=start)
    assert_tiles(made, now)
    assert (window_at(made, now)[0] - start) % (seconds * SECOND) == 0


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("week", "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        # 25 and 23 hours.
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        # No midnight.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"),
        # Midnight twice.
        ("day", "America/Havana", "2025-11-02T12:00:00Z", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"),
        # Midnight, a minute, and the day before again.
        ("day", "America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"),
        # A day that never was.
        ("day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
def test_windows_that_people_could_check_on_a_calendar(period, zone, now, start, end):
    assert window(period, zone, now) == (start, end)


def test_a_total_never_ends():
    assert window_at(terms("total"), NOW) == (0, None)
    assert window_at(terms("total", starts_at=5), NOW) == (5, None)


def test_a_raise_counts_until_its_end():
    made = terms(amount_nano=10, raise_nano=5, raise_until=NOW)
    assert limit_at(made, NOW - 1) == 15
    assert limit_at(made, NOW) == 10


@pytest.mark.parametrize(
    ("spent", "limit", "reached"),
    [
        (0, 100, 0),
        (49, 100, 0),
        (50, 100, 50),
        (99, 100, 80),
        (100, 100, 100),
        (999, 100, 100),
        (0, 0, 100),
    ],
)
def test_the_highest_threshold_that_is_reached(spent, limit, reached):
    assert highest_reached((50, 80, 100), spent, limit) == reached
    assert highest_reached((), spent, limit) == 0


GOOD = [
    terms("month", "Asia/Kolkata"),
    terms("interval", interval_seconds=60, starts_at=NOW + 1),
    terms("total", starts_at=NOW),
    terms(amount_nano=0, thresholds=(), mode="clamp", models=("gpt-4o*", "a")),
    terms(thresholds=tuple(range(1, 11))),
    terms(raise_nano=1, raise_until=NOW + 1),
]
BAD = [
    ({"amount_nano": -1}, "amount"),
    ({"amount_nano": 2**63}, "amount"),
    ({"period": "year"}, "period"),
    ({"mode": "warn"}, "mode"),
    ({"zone": "Mars/Olympus"}, "time_zone"),
    ({"zone": ""}, "time_zone"),
    ({"zone": "../../etc/passwd"}, "time_zone"),
    ({"zone": "localtime"}, "time_zone"),
    ({"period": "interval"}, "interval_seconds"),
    ({"period": "interval", "interval_seconds": 59}, "interval_seconds"),
    ({"period": "interval", "interval_seconds": 2**31}, "interval_seconds"),
    ({"interval_seconds": 60}, "interval_seconds"),
    ({"starts_at": 1}, "starts_at"),
    ({"period": "total", "starts_at": NOW + 1}, "starts_at"),
    ({"period": "interval", "interval_seconds": 60, "starts_at": -1}, "starts_at"),
    ({"period": "interval", "interval_seconds": 60, "starts_at": 2**62}, "starts_at"),
    ({"thresholds": (0,)}, "thresholds"),
    ({"thresholds": (1001,)}, "thresholds"),
    ({"thresholds": (50, 50)}, "thresholds"),
    ({"thresholds": tuple(range(1, 12))}, "thresholds"),
    ({"models": ("",)}, "models"),
    ({"models": ("a*b",)}, "models"),
    ({"models": ("x" * 201,)}, "models"),
    ({"raise_nano": 1}, "until"),
    ({"raise_nano": 1, "raise_until": NOW}, "until"),
    ({"raise_nano": -1, "raise_until": NOW + 1}, "amount"),
    ({"raise_nano": 2**63 - 1, "raise_until": NOW + 1}, "amount"),
]


@pytest.mark.parametrize("made", GOOD)
def test_sound_terms_pass(made):
    check_terms(made, now_us=NOW)
    window_at(made, NOW)


@pytest.mark.parametrize(("change", "param"), BAD)
def test_unsound_terms_are_refused_by_their_name(change, param):
    with pytest.raises(InvalidRequest) as caught:
        check_terms(terms(**change), now_us=NOW)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Kolkata", "Asia/Kolkata"),
    ],
)
def test_a_zone_that_is_mistyped_is_guessed(typed, meant):
    with pytest.raises(InvalidRequest) as caught:
        check_terms(terms(zone=typed), now_us=NOW)
    assert meant in caught.value.public_message


def test_the_zones_of_this_machine_can_be_used():
    assert len(ZONES) > 400
    for zone in ZONES[::20]:
        if zone != "localtime":
            check_terms(terms(zone=zone), now_us=NOW)


def test_the_periods_have_names():
    assert set(period_names()) == {"day", "week", "month", "total", "interval"}
