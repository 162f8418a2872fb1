import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.routing.health import HealthPolicy
from torana.routing.latency import Latency


def measured(*samples: tuple[float, float]) -> Latency:
    latency = Latency(HealthPolicy())
    for now, seconds in samples:
        latency.measured(now, seconds)
    return latency


def test_nothing_is_known_at_first():
    assert measured().value(0.0) is None


def test_one_measurement_is_its_value():
    assert measured((5.0, 0.3)).value(5.0) == 0.3


def test_a_burst_is_its_mean():
    assert measured((0.0, 1.0), (0.0, 2.0), (0.0, 3.0)).value(0.0) == 2.0


def test_after_a_half_life_a_measurement_counts_half():
    assert measured((0.0, 1.0), (10.0, 4.0)).value(10.0) == pytest.approx((0.5 * 1 + 4) / 1.5)


def test_the_past_fades():
    latency = measured(*[(0.0, 10.0)] * 100, *[(55.0, 1.0)] * 10)
    assert latency.value(55.0) == pytest.approx(2.6, abs=0.1)


def test_what_is_not_measured_for_a_minute_is_forgotten():
    latency = measured((0.0, 9.0))
    assert latency.value(60.0) == 9.0
    assert latency.value(60.1) is None
    latency.measured(61.0, 1.0)
    value = latency.value(61.0)
    assert value is not None
    assert value < 1.2


def test_a_failure_counts_as_slow_however_fast_it_was():
    latency = measured(*[(0.0, 0.2)] * 9)
    latency.failed(0.0, 0.001)
    assert latency.value(0.0) == pytest.approx((9 * 0.2 + 10) / 10)


def test_a_slow_failure_counts_for_what_it_took():
    latency = measured()
    latency.failed(0.0, 60.0)
    assert latency.value(0.0) == 60.0


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 600)), min_size=1))
def test_it_is_between_the_fastest_and_the_slowest(samples):
    at = sorted(samples)
    value = measured(*at).value(at[-1][0])
    assert value is not None
    fastest, slowest = min(s for _, s in at), max(s for _, s in at)
    assert fastest - 1e-6 <= value <= slowest + 1e-6
