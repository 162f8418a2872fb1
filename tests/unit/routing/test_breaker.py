import pytest

from torana.routing.breaker import Breaker, Pass
from torana.routing.health import HealthPolicy

POLICY = HealthPolicy()


def breaker(policy: HealthPolicy = POLICY, chance: float = 0.5) -> Breaker:
    """One whose times open are exactly as long as the policy says."""
    return Breaker(policy, lambda: chance)


def enter(target: Breaker, now: float) -> Pass:
    passed = target.enter(now)
    assert passed is not None
    return passed


def fail(target: Breaker, now: float, times: int = 1) -> list[object]:
    return [target.failed(enter(target, now), now, "upstream_error") for _ in range(times)]


def succeed(target: Breaker, now: float, times: int = 1) -> list[object]:
    return [target.succeeded(enter(target, now), now) for _ in range(times)]


def opened(now: float = 0.0) -> Breaker:
    target = breaker()
    fail(target, now, POLICY.failures)
    assert target.state(now) == "open"
    return target


def test_it_is_closed_at_first():
    target = breaker()
    assert target.state(0.0) == "closed"
    assert target.wait(0.0) == 0.0
    assert not enter(target, 0.0).probe


def test_failures_one_after_another_open_it():
    target = breaker()
    assert fail(target, 0.0, 5) == [None, None, None, None, "opened"]
    assert target.state(0.0) == "open"
    assert target.reason == "upstream_error"
    assert target.enter(0.0) is None
    assert target.wait(1.0) == 4.0


def test_a_success_between_begins_the_count_again():
    target = breaker()
    fail(target, 0.0, 4)
    succeed(target, 0.0)
    fail(target, 0.0, 4)
    assert target.state(0.0) == "closed"


def test_a_call_that_says_nothing_is_not_between():
    target = breaker()
    fail(target, 0.0, 4)
    target.released(enter(target, 0.0))
    assert fail(target, 0.0) == ["opened"]


def alternate(target: Breaker, outcomes: int, seconds: float) -> str:
    """Every second one fails, evenly over the time."""
    for number in range(outcomes):
        now = seconds * number / outcomes
        (fail if number % 2 else succeed)(target, now)
        if target.state(now) == "open":
            return f"open after {number + 1}"
    return "closed"


def test_half_of_many_failures_open_it():
    assert alternate(breaker(), 100, 9.0) == "open after 20"


def test_too_few_outcomes_do_not():
    assert alternate(breaker(), 19, 9.0) == "closed"


def test_those_of_long_ago_do_not_count():
    assert alternate(breaker(), 1000, 1000.0) == "closed"


def test_fewer_than_half_do_not():
    target = breaker()
    for _ in range(100):
        succeed(target, 0.0, 3)
        fail(target, 0.0, 2)
    assert target.state(0.0) == "closed"


def test_after_its_time_one_call_at_a_time_probes():
    target = opened()
    assert target.enter(4.999) is None
    assert target.state(5.0) == "half_open"
    probe = enter(target, 5.0)
    assert probe.probe
    assert target.enter(5.0) is None
    assert target.wait(5.0) == POLICY.probe_wait
    assert target.succeeded(probe, 6.0) == "closed"
    assert target.state(6.0) == "closed"
    assert not enter(target, 6.0).probe


def test_a_probe_is_not_begun_where_it_may_not():
    target = opened()
    assert target.enter(5.0, may_probe=False) is None
    assert enter(target, 5.0).probe


def test_a_good_probe_makes_it_forget():
    target = opened()
    target.succeeded(enter(target, 5.0), 5.0)
    fail(target, 5.0, 4)
    assert target.state(5.0) == "closed"
    fail(target, 5.0)
    assert target.wait(5.0) == POLICY.open_seconds


def test_its_time_doubles_with_every_failed_probe():
    target = opened()
    now, times = 0.0, []
    for _ in range(6):
        now += target.wait(now)
        assert target.failed(enter(target, now), now, "upstream_timeout") == "opened"
        times.append(target.wait(now))
    assert times == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert target.reason == "upstream_timeout"


def test_a_first_time_longer_than_the_longest_is_not_cut():
    target = breaker(HealthPolicy(open_seconds=300.0))
    fail(target, 0.0, 5)
    assert target.wait(0.0) == 300.0
    target.failed(enter(target, 300.0), 300.0, "upstream_error")
    assert target.wait(300.0) == 300.0


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.25, 4.5), (0.75, 5.5), (1.0, 6.0)])
def test_chance_makes_it_longer_or_shorter(chance, seconds):
    target = breaker(chance=chance)
    fail(target, 0.0, 5)
    assert target.wait(0.0) == pytest.approx(seconds)


def test_a_probe_that_says_nothing_frees_its_place():
    target = opened()
    target.released(enter(target, 5.0))
    assert target.state(5.0) == "half_open"
    assert target.wait(5.0) == 0.0
    assert enter(target, 5.0).probe


@pytest.mark.parametrize("outcome", ["failed", "succeeded"])
def test_calls_from_before_it_opened_say_nothing(outcome):
    target = breaker()
    old = [enter(target, 0.0) for _ in range(10)]
    fail(target, 0.0, 5)
    until = target.wait(0.0)
    for passed in old[:5]:
        if outcome == "failed":
            assert target.failed(passed, 1.0, "upstream_cut") is None
        else:
            assert target.succeeded(passed, 1.0) is None
    assert target.wait(0.0) == until
    target.succeeded(enter(target, 5.0), 5.0)
    for passed in old[5:]:
        assert target.failed(passed, 6.0, "upstream_cut") is None
    assert target.state(6.0) == "closed"


def test_a_stream_that_begins_is_a_good_probe():
    target = opened()
    probe = enter(target, 5.0)
    assert target.answered(probe, 5.5) == "closed"
    assert not enter(target, 5.5).probe


def test_a_stream_that_was_a_probe_and_is_cut_opens_it_again_for_longer():
    target = opened()
    probe = enter(target, 5.0)
    target.answered(probe, 5.5)
    assert target.failed(probe, 9.0, "upstream_cut") == "opened"
    assert target.wait(9.0) == 10.0


def test_after_a_stream_as_probe_a_success_restores_trust():
    target = opened()
    probe = enter(target, 5.0)
    target.answered(probe, 5.5)
    assert target.succeeded(probe, 9.0) is None
    fail(target, 9.0, 4)
    assert target.state(9.0) == "closed"
    fail(target, 9.0)
    assert target.wait(9.0) == POLICY.open_seconds


def test_a_stream_that_begins_changes_nothing_in_other_states():
    target = breaker()
    assert target.answered(enter(target, 0.0), 0.0) is None


def test_cooling_lets_no_call_pass_and_then_all():
    target = breaker()
    assert target.cooled(enter(target, 0.0), 0.0, "upstream_rate_limited", 3.0) == "cooling"
    assert target.state(2.9) == "cooling"
    assert target.reason == "upstream_rate_limited"
    assert target.enter(2.9) is None
    assert target.wait(1.0) == 2.0
    assert target.state(3.0) == "closed"
    assert not enter(target, 3.0).probe
    assert not enter(target, 3.0).probe


def test_cooling_counts_neither_as_failure_nor_as_success():
    target = breaker()
    now = 0.0
    for _ in range(50):
        target.cooled(enter(target, now), now, "upstream_rate_limited", 1.0)
        now += 1.0
    assert target.state(now) == "closed"
    fail(target, now, 4)
    target.cooled(enter(target, now), now, "upstream_rate_limited", 1.0)
    assert fail(target, now + 1.0) == ["opened"]


def test_a_cooldown_is_bounded():
    target = breaker()
    target.cooled(enter(target, 0.0), 0.0, "upstream_rate_limited", 86_400.0)
    assert target.wait(0.0) == 60.0


@pytest.mark.parametrize("asked", [None, 0.0, -3.0, float("nan")])
def test_without_a_time_a_cooldown_grows_with_each_repetition(asked):
    target = breaker()
    now, times = 0.0, []
    for _ in range(6):
        target.cooled(enter(target, now), now, "upstream_rate_limited", asked)
        times.append(target.wait(now))
        now += target.wait(now)
    assert times == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    succeed(target, now)
    target.cooled(enter(target, now), now, "upstream_rate_limited", asked)
    assert target.wait(now) == 1.0


def test_many_calls_that_are_refused_at_once_are_one_repetition():
    target = breaker()
    together = [enter(target, 0.0) for _ in range(20)]
    changes = [target.cooled(passed, 0.5, "upstream_rate_limited", None) for passed in together]
    assert changes == ["cooling", *[None] * 19]
    assert target.wait(0.5) == 1.0


def test_a_shorter_cooldown_does_not_end_a_longer_one():
    target = breaker()
    together = [enter(target, 0.0) for _ in range(3)]
    for passed, asked in zip(together, [5.0, 1.0, 8.0], strict=True):
        target.cooled(passed, 0.0, "upstream_rate_limited", asked)
    assert target.wait(0.0) == 8.0


def test_a_probe_that_is_asked_for_patience_frees_its_place_for_later():
    target = opened()
    target.cooled(enter(target, 5.0), 5.0, "upstream_rate_limited", 2.0)
    assert target.state(5.0) == "half_open"
    assert target.wait(5.0) == 2.0
    assert target.enter(6.9) is None
    assert enter(target, 7.0).probe


def test_what_another_process_has_opened_is_open_here():
    target = breaker()
    target.succeeded(enter(target, 0.0), 0.0)
    change = target.open_for(1.0, 7.0, "upstream_timeout", opens=2, at=0.5)
    assert change == "opened"
    assert target.wait(1.0) == 7.0
    assert target.reason == "upstream_timeout"
    probe = enter(target, 8.0)
    assert probe.probe
    target.failed(probe, 8.0, "upstream_timeout")
    assert target.wait(8.0) == 20.0


def test_a_time_of_another_process_does_not_shorten_ours():
    target = opened()
    assert target.open_for(1.0, 2.0, "upstream_timeout", opens=1, at=0.0) is None
    assert target.wait(1.0) == 4.0
    assert target.open_for(1.0, 9.0, "upstream_timeout", opens=2, at=0.9) is None
    assert target.wait(1.0) == 9.0


def test_a_failed_probe_elsewhere_ends_the_turn_of_ours():
    target = opened()
    probe = enter(target, 5.0)
    target.open_for(5.1, 10.0, "upstream_timeout", opens=2, at=5.0)
    assert target.succeeded(probe, 5.2) is None
    assert target.state(5.2) == "open"


def test_a_good_probe_elsewhere_closes_it():
    target = opened()
    assert target.close(2.0, at=1.9) == "closed"
    assert not enter(target, 2.0).probe
    assert target.close(2.0, at=1.9) is None
    # It opens as any other.
    assert fail(target, 2.0, 5)[-1] == "opened"
    assert target.wait(2.0) == POLICY.open_seconds


def test_it_can_be_opened_from_elsewhere_again_after_it_was_closed():
    target = opened()
    target.close(1.0, at=1.0)
    assert target.open_for(2.0, 1.0, "upstream_cut", opens=1, at=2.0) == "opened"
    assert target.wait(2.0) == 1.0


def test_a_failed_check_opens_it_at_once():
    target = breaker()
    assert target.checked(0.0, "upstream_unreachable") == "opened"
    assert target.reason == "upstream_unreachable"
    assert target.wait(0.0) == 5.0


def test_a_failed_check_is_a_failed_probe():
    target = opened()
    assert target.checked(1.0, "upstream_unreachable") is None
    assert target.wait(1.0) == 4.0
    assert target.checked(5.0, "upstream_unreachable") == "opened"
    assert target.wait(5.0) == 10.0


def test_a_good_check_closes_it_until_a_call_fails():
    target = opened()
    assert target.checked(1.0, None) is None
    assert target.state(1.0) == "open"
    assert target.checked(5.0, None) == "closed"
    assert fail(target, 5.0) == ["opened"]
    assert target.wait(5.0) == 10.0


def test_a_good_check_changes_nothing_while_it_is_closed():
    target = breaker()
    fail(target, 0.0, 4)
    assert target.checked(0.0, None) is None
    assert fail(target, 0.0) == ["opened"]


@pytest.mark.parametrize("reason", [None, "upstream_unreachable"])
def test_a_check_does_not_interfere_with_a_probe(reason):
    target = opened()
    probe = enter(target, 5.0)
    assert target.checked(5.0, reason) is None
    assert target.succeeded(probe, 5.1) == "closed"
