"""Exact percentiles of measured durations, in the unit and the shape that reports use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of an ascending sequence: a value that was really measured.

    Args:
        ordered: At least one value, ascending.
        share: From 0 to 1; 0.5 is the median.

    Raises:
        ValueError: When there is no value, or the share is outside its range.
    """
    if not ordered or not 0 <= share <= 1:
        raise ValueError("a percentile needs a value and a share from 0 to 1")
    # The rank is ceil(share * n), in integers: 0.99 * 100 in floats is a little above 99.
    parts = round(share * 10_000)
    rank = -(-parts * len(ordered) // 10_000)
    return ordered[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class Summary:
    """Durations in milliseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


def summarize(seconds: Iterable[float]) -> Summary | None:
    """Sum durations up, from seconds to milliseconds with three digits; None when there is none."""
    ordered = sorted(seconds)
    if not ordered:
        return None

    def milliseconds(value: float) -> float:
        return round(value * 1000, 3)

    return Summary(
        count=len(ordered),
        mean=milliseconds(sum(ordered) / len(ordered)),
        p50=milliseconds(percentile(ordered, 0.5)),
        p90=milliseconds(percentile(ordered, 0.9)),
        p99=milliseconds(percentile(ordered, 0.99)),
        max=milliseconds(ordered[-1]),
    )
