"""Instants and periods, as they are asked for and as they are meant."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.errors import ValidationFailed
from torana.ledger.reports.periods import WORDS, parse_instant, parse_period, time_zone

BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)


def local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")


def told(text: str, zone: ZoneInfo = BERLIN) -> tuple[str, str, str, str]:
    period = parse_period(text, zone, now=NOW)
    before = period.previous()
    ends = (period.start, period.end, before.start, before.end)
    start, end, first, last = (local(instant, zone).removesuffix("T00:00") for instant in ends)
    return start, end, first, last


@pytest.mark.parametrize(
    ("text", "start", "end", "before"),
    [
        ("2026-11-01/P1M", "2026-11-01", "2026-12-01", "2026-10-01"),
        ("2026-03-01/P1M", "2026-03-01", "2026-04-01", "2026-02-01"),
        ("2026-11", "2026-11-01", "2026-12-01", "2026-10-01"),
        ("2026", "2026-01-01", "2027-01-01", "2025-01-01"),
        ("2026-W45", "2026-11-02", "2026-11-09", "2026-10-26"),
        ("2026-11-05", "2026-11-05", "2026-11-06", "2026-11-04"),
        ("20261105", "2026-11-05", "2026-11-06", "2026-11-04"),
        ("P1D/2026-11-02", "2026-11-01", "2026-11-02", "2026-10-31"),
        ("P3M/2026-10-01", "2026-07-01", "2026-10-01", "2026-04-01"),
        ("2026-11-01/2026-11-15", "2026-11-01", "2026-11-15", "2026-10-18"),
        ("2026-11-01/15", "2026-11-01", "2026-11-15", "2026-10-18"),
        ("2026-03-01/2026-05-01", "2026-03-01", "2026-05-01", "2026-01-01"),
        ("2026-01-31/P1M", "2026-01-31", "2026-02-28", "2025-12-31"),
        ("2026-11-01/P1W", "2026-11-01", "2026-11-08", "2026-10-25"),
        ("2026-10-25/P1D", "2026-10-25", "2026-10-26", "2026-10-24"),
        ("2026-11-01/P1Y2M3D", "2026-11-01", "2028-01-04", "2025-08-29"),
        ("today", "2026-11-23", "2026-11-24", "2026-11-22"),
        ("yesterday", "2026-11-22", "2026-11-23", "2026-11-21"),
        ("this-week", "2026-11-23", "2026-11-30", "2026-11-16"),
        ("last-week", "2026-11-16", "2026-11-23", "2026-11-09"),
        ("this-month", "2026-11-01", "2026-12-01", "2026-10-01"),
        ("last-month", "2026-10-01", "2026-11-01", "2026-09-01"),
        ("this-year", "2026-01-01", "2027-01-01", "2025-01-01"),
        ("last-year", "2025-01-01", "2026-01-01", "2024-01-01"),
        ("2026-11-01T10:00/PT90M", "2026-11-01T10:00", "2026-11-01T11:30", "2026-11-01T08:30"),
        ("2026-11-01T10:00Z/PT1.5H", "2026-11-01T11:00", "2026-11-01T12:30", "2026-11-01T09:30"),
        (
            "2026-11-01T10:00+05:30/2026-11-01T12:00+05:30",
            *("2026-11-01T05:30", "2026-11-01T07:30", "2026-11-01T03:30"),
        ),
    ],
)
def test_a_period_and_the_one_before_it(text: str, start: str, end: str, before: str):
    assert told(text) == (start, end, before, start)


def test_a_day_in_which_the_clocks_change_is_not_24_hours_long():
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-24", 24)):
        period = parse_period(day, BERLIN, now=NOW)
        assert period.end - period.start == timedelta(hours=hours)
    half = parse_period("2026-10-04", ZoneInfo("Australia/Lord_Howe"), now=NOW)
    assert half.end - half.start == timedelta(hours=23, minutes=30)


def test_a_day_before_a_clock_change_is_a_day_of_the_calendar():
    day = parse_period("2026-10-26", BERLIN, now=NOW)
    assert day.previous().end - day.previous().start == timedelta(hours=25)


def test_a_midnight_that_is_left_out_is_the_first_instant_after_it():
    period = parse_period("2026-03-29", ZoneInfo("America/Godthab"), now=NOW)
    beirut = parse_period("2026-03-29", ZoneInfo("Asia/Beirut"), now=NOW)
    assert local(beirut.start, ZoneInfo("Asia/Beirut")) == "2026-03-29T01:00"
    assert period.start < period.end


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-01", "2026-10-31T18:15:00+00:00"),
        ("2026-11-01T12:00", "2026-11-01T06:15:00+00:00"),
        ("2026-11-01T12:00Z", "2026-11-01T12:00:00+00:00"),
        ("2026-11-01T12:00:00.123456-03:30", "2026-11-01T15:30:00.123456+00:00"),
        ("20261101T120000", "2026-11-01T06:15:00+00:00"),
        ("2026-11-01t24:00z", "2026-11-02T00:00:00+00:00"),
        ("2026-305", "2026-10-31T18:15:00+00:00"),
    ],
)
def test_an_instant_without_an_offset_is_read_in_the_zone(text: str, instant: str):
    assert parse_instant(text, KATHMANDU, field="since") == datetime.fromisoformat(instant)


NONSENSE = [
    *("", "soon", "2026-13-01", "2026-02-30", "2026-11-01T25:00", "1700000000", "-1", "٢٠٢٦"),
    *("2026-11-01T10:00:00+99:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("2026-11-01T", "T10:00", "2026-11-01 OR 1=1", "x" * 10_000, "2026-11-01\x00"),
]


@pytest.mark.parametrize("text", NONSENSE, ids=ascii)
def test_an_instant_that_cannot_be_read_is_refused_with_advice(text: str):
    with pytest.raises(ValidationFailed) as caught:
        parse_instant(text, ZONE, field="since")
    (problem,) = caught.value.problems
    assert problem["field"] == "since"
    assert len(caught.value.public_message) < 500
    assert "2026-11-01T09:30" in problem["message"] or "1970" in problem["message"]


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in NONSENSE if text != "1700000000"),
        *("/", "P1M", "2026-11-01/", "/2026-11-01", "P1M/P1M", "2026-11-01/P", "2026-11-01/PT"),
        *("2026-11-15/2026-11-01", "2026-11-01/2026-11-01", "2026-11-01/P0D", "tomorrow"),
        *("2026-11-01/P1.5M", "2026-11-01/P99999Y", "2026-11-01/P1M/P1M", "R5/2026-11-01/P1M"),
        *("2026-11-01/P-1M", "2026-11-01/PT1e9H", "Today", "this_month"),
    ],
    ids=ascii,
)
def test_a_period_that_cannot_be_read_is_refused_with_advice(text: str):
    with pytest.raises(ValidationFailed) as caught:
        parse_period(text, ZONE, now=NOW)
    (problem,) = caught.value.problems
    assert problem["field"] == "period"
    assert "2026-11-01/P1M" in problem["message"] or "1970" in problem["message"]


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "a\x00b", "é" * 99]
)
def test_a_time_zone_that_there_is_not_is_refused(name: str):
    with pytest.raises(ValidationFailed, match="time_zone"):
        time_zone(name)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading(text: str):
    for read in (
        lambda: parse_period(text, BERLIN, now=NOW),
        lambda: parse_instant(text, BERLIN, field="since"),
    ):
        with contextlib.suppress(ValidationFailed):
            read()


@given(
    st.sampled_from([*WORDS, "2026-11", "P1D/2026-11-02", "2026-10-01/P1M", "2026-03-29"]),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.datetimes(NOW.replace(1990, tzinfo=None), NOW.replace(2060, tzinfo=None)),
)
def test_periods_follow_one_another_without_a_gap(text: str, name: str, now: datetime):
    period = parse_period(text, ZoneInfo(name), now=now.replace(tzinfo=UTC))
    before = period.previous()
    assert before.end == period.start
    assert before.start < before.end
    assert before.previous().end == before.start
