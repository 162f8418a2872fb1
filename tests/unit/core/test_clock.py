"""Instants as values and as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.clock import epoch_seconds, isoformat, utc_now

AWARE = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 -- hypothesis adds the zone
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.timezones(),
)


def test_now_is_aware_and_in_utc():
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2026-01-01T21:34:05.000Z",
        ),
    ],
)
def test_an_instant_is_written_with_milliseconds_and_a_z(instant, text):
    assert isoformat(instant) == text


@given(AWARE)
def test_the_text_of_an_instant_is_that_instant_to_the_millisecond(instant):
    read = datetime.fromisoformat(isoformat(instant))
    assert timedelta(0) <= instant - read < timedelta(milliseconds=1)


@given(AWARE)
def test_epoch_seconds_are_whole_and_do_not_depend_on_the_zone(instant):
    seconds = epoch_seconds(instant)
    assert isinstance(seconds, int)
    assert seconds == epoch_seconds(instant.astimezone(UTC))
    assert abs(instant.timestamp() - seconds) < 1
