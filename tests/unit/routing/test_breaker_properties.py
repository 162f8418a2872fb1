"""What holds for a breaker whatever happens to it, tried with long random stories."""

from hypothesis import given
from hypothesis import strategies as st

from torana.routing.breaker import Breaker, Pass
from torana.routing.health import HealthPolicy

POLICY = HealthPolicy()
ENDS = ("success", "failure", "cooling", "said cooling", "neutral", "answered")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.just(0), st.just("")),
        st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from(ENDS)),
        st.tuples(st.just("wait"), st.floats(0, 70), st.just("")),
        st.tuples(st.just("elsewhere"), st.floats(0, 70), st.sampled_from(("open", "closed"))),
        st.tuples(st.just("check"), st.just(0), st.sampled_from(("good", "bad"))),
    ),
    max_size=120,
)


class Story:
    """A breaker, its calls under way, and what must be true of both."""

    def __init__(self, chance: float) -> None:
        self.breaker = Breaker(POLICY, lambda: chance)
        self.now = 0.0
        self.calls: list[Pass] = []
        self.probe: Pass | None = None

    def enter(self) -> Pass | None:
        breaker, now = self.breaker, self.now
        state, wait = breaker.state(now), breaker.wait(now)
        passed = breaker.enter(now)
        if passed is None:
            assert state != "closed"
            assert wait > 0
            return None
        assert state in {"closed", "half_open"}, "a call passed while it was open or cooling"
        assert wait == 0
        assert passed.probe == (state == "half_open")
        if passed.probe:
            assert self.probe is None, "two probes at once"
            self.probe = passed
        self.calls.append(passed)
        return passed

    def end(self, passed: Pass, how: str) -> None:
        breaker, now = self.breaker, self.now
        if how == "answered":
            breaker.answered(passed, now)
            if passed is self.probe:
                self.probe = None
            return
        self.calls.remove(passed)
        if how == "success":
            breaker.succeeded(passed, now)
        elif how == "failure":
            breaker.failed(passed, now, "upstream_error")
        elif how == "neutral":
            breaker.released(passed)
        else:
            asked = 5.0 if how == "said cooling" else None
            breaker.cooled(passed, now, "upstream_rate_limited", asked)
        if passed is self.probe:
            self.probe = None

    def elsewhere(self, seconds: float, what: str) -> None:
        if what == "open":
            self.breaker.open_for(self.now, seconds, "upstream_error", opens=1, at=self.now)
        else:
            self.breaker.close(self.now, at=self.now)
        if not self.breaker.probing:
            # Another process knows better than a probe that is under way.
            self.probe = None

    def play(self, story: list[tuple[str, float, str]]) -> None:
        for step, number, what in story:
            if step == "enter":
                self.enter()
            elif step == "end" and self.calls:
                self.end(self.calls[int(number) % len(self.calls)], what)
            elif step == "wait":
                self.now += number
            elif step == "elsewhere":
                self.elsewhere(number, what)
            elif step == "check":
                self.breaker.checked(self.now, None if what == "good" else "upstream_error")
            self.is_bounded()

    def is_bounded(self) -> None:
        wait = self.breaker.wait(self.now)
        assert 0 <= wait <= POLICY.longest_open
        if self.breaker.state(self.now) == "closed":
            assert wait == 0
        assert self.breaker.probing == (self.probe is not None)


@given(steps, st.floats(0, 1))
def test_there_are_never_two_probes_and_no_call_passes_while_it_is_open(story, chance):
    Story(chance).play(story)


@given(steps, st.floats(0, 1))
def test_it_is_closed_in_the_end_when_all_succeed(story, chance):
    played = Story(chance)
    played.play(story)
    for passed in list(played.calls):
        played.end(passed, "success")
    for _ in range(4):
        played.now += played.breaker.wait(played.now)
        entered = played.enter()
        assert entered is not None
        played.end(entered, "success")
    assert played.breaker.state(played.now) == "closed"
    assert played.breaker.opens == 0


@given(steps, st.floats(0, 1))
def test_it_is_open_in_the_end_when_all_fail(story, chance):
    played = Story(chance)
    played.play(story)
    for passed in list(played.calls):
        played.end(passed, "neutral")
    attempts = 0
    start = played.now
    while played.now < start + 600:
        entered = played.enter()
        if entered is None:
            played.now += max(0.01, played.breaker.wait(played.now))
        else:
            attempts += 1
            played.end(entered, "failure")
    # Five calls to learn it, then a probe after 4 to 72 s each.
    assert attempts <= 5 + 5 + 600 / (POLICY.longest_open_seconds * (1 - POLICY.jitter))
