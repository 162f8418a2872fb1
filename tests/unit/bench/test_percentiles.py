"""The driver's statistics."""

from __future__ import annotations

import pytest

from bench.percentiles import percentile, summarize


@pytest.mark.parametrize(
    ("share", "value"),
    [(0, 1), (0.01, 1), (0.5, 50), (0.9, 90), (0.99, 99), (0.995, 100), (1, 100)],
)
def test_a_percentile_of_a_hundred_values_is_the_nearest_rank(share, value):
    assert percentile(range(1, 101), share) == value


def test_a_percentile_is_always_a_measured_value():
    assert percentile([1.0, 2.0], 0.5) == 1.0
    assert percentile([1.0, 2.0], 0.51) == 2.0
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_a_percentile_of_nothing_or_of_an_impossible_share_is_refused(values, share):
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_a_summary_is_in_milliseconds_whatever_the_order():
    summary = summarize([0.003, 0.001, 0.002, 0.0100004])
    assert summary is not None
    assert (summary.count, summary.p50, summary.p99, summary.max) == (4, 2.0, 10.0, 10.0)
    assert summary.mean == pytest.approx(4.0, abs=0.001)


def test_a_summary_of_nothing_is_none():
    assert summarize([]) is None
