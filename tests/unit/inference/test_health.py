import logging
import threading
from collections import Counter

from tests.unit.inference.health_scene import FAILED, Scene
from torana.errors import CallerGone, UpstreamRateLimited, UpstreamUnreachable
from torana.inference.health import Attempt
from torana.routing.health import HEALTHY


def test_what_nobody_has_called_is_healthy():
    assert Scene().health.view("p", "m") is HEALTHY


def test_an_open_target_lets_no_call_in_and_others_go_on():
    scene = Scene()
    scene.open()
    assert scene.health.enter("p", "m", streamed=False) is None
    scene.enter("other").ended(None)
    view = scene.health.view("p", "m")
    assert (view.state, view.wait, view.reason) == ("open", 5.0, "upstream_timeout")


def test_a_probe_says_that_it_is_one_and_closes_the_target():
    scene = Scene()
    scene.open()
    scene.now += 5
    probe = scene.enter()
    assert probe.probe
    assert scene.health.enter("p", "m", streamed=False) is None
    probe.ended(None)
    assert not scene.enter().probe
    assert scene.health.view("p", "m").reason is None


def test_a_probe_whose_caller_hung_up_frees_its_place():
    scene = Scene()
    scene.open()
    scene.now += 5
    scene.enter().ended(CallerGone("x"))
    assert scene.enter().probe


def test_a_stream_as_probe_closes_the_target_with_its_head():
    scene = Scene()
    scene.open()
    scene.now += 5
    stream = scene.enter(streamed=True)
    stream.answered(0.2)
    assert scene.health.view("p", "m").state == "closed"
    stream.ended(FAILED)
    assert scene.health.view("p", "m").state == "open"


def test_a_json_answer_as_probe_closes_it_at_its_end():
    scene = Scene()
    scene.open()
    scene.now += 5
    probe = scene.enter()
    probe.answered(0.2)
    assert scene.health.view("p", "m").state == "half_open"
    probe.ended(None)
    assert scene.health.view("p", "m").state == "closed"


def test_an_end_that_is_told_twice_counts_once():
    scene = Scene()
    attempt = scene.enter()
    for _ in range(10):
        attempt.ended(FAILED)
    view = scene.health.view("p", "m")
    assert (view.state, view.open_calls) == ("closed", 0)


def test_a_rate_limit_cools_a_target_for_as_long_as_it_says():
    scene = Scene()
    error = UpstreamRateLimited("x")
    error.cooldown = 7.0
    scene.call(error)
    view = scene.health.view("p", "m")
    assert (view.state, view.wait, view.reason) == ("cooling", 7.0, "upstream_rate_limited")
    assert scene.health.enter("p", "m", streamed=False) is None


def test_latencies_of_streams_and_of_json_answers_are_apart():
    scene = Scene()
    scene.enter().answered(2.0)
    scene.enter(streamed=True).answered(0.25)
    view = scene.health.view("p", "m")
    assert (view.latency, view.stream_latency, view.open_calls) == (2.0, 0.25, 2)


def test_a_failure_makes_a_target_look_slow():
    scene = Scene()
    scene.call(FAILED, seconds=30.0)
    assert scene.health.view("p", "m").latency == 30.0


def test_a_caller_that_hangs_up_says_nothing_about_speed():
    scene = Scene()
    scene.call(CallerGone("x"), seconds=30.0)
    assert scene.health.view("p", "m").latency is None


def test_repeats_are_paid_for_by_first_tries_of_the_same_target():
    scene = Scene()
    assert sum(scene.health.may_repeat("p", "m") for _ in range(20)) == 10
    for _ in range(100):
        scene.enter("other").ended(None)
        scene.enter(again=True).ended(None)
    assert not scene.health.may_repeat("p", "m")
    for _ in range(5):
        scene.enter().ended(None)
    assert scene.health.may_repeat("p", "m")
    assert not scene.health.may_repeat("p", "m")


def test_a_refused_call_earns_nothing():
    scene = Scene()
    while scene.health.may_repeat("p", "m"):
        pass
    scene.open()
    assert scene.health.may_repeat("p", "m")
    for _ in range(100):
        assert scene.health.enter("p", "m", streamed=False) is None
    assert not scene.health.may_repeat("p", "m")


def test_all_targets_are_told_by_name():
    scene = Scene()
    scene.call(model="b", seconds=0.25)
    scene.open("a")
    first, second = scene.health.all()
    assert (first.model, first.state, first.wait, first.reason) == (
        "a",
        "open",
        5.0,
        "upstream_timeout",
    )
    assert (second.model, second.state, second.latency_ms) == ("b", "closed", 250)
    assert (second.recent_outcomes, second.recent_failures) == (1, 0)


def test_changes_are_logged_and_counted(caplog):
    caplog.set_level(logging.INFO, "torana.health")
    scene = Scene()
    scene.open()
    scene.now += 5
    scene.call()
    scene.call(UpstreamRateLimited("x"))
    told = [(record.msg, record.levelname) for record in caplog.records]
    assert told == [
        ("target.opened", "WARNING"),
        ("target.closed", "INFO"),
        ("target.cooling", "INFO"),
    ]
    first = vars(caplog.records[0])
    assert (first["provider"], first["target_model"], first["reason"], first["seconds"]) == (
        "p",
        "m",
        "upstream_timeout",
        5.0,
    )
    assert scene.told.transitions == [("p", "opened"), ("p", "closed"), ("p", "cooling")]
    assert [state for *_, state in scene.told.states] == ["open", "closed", "cooling"]


def test_what_time_changes_is_told_to_the_metrics_by_a_tick():
    scene = Scene()
    scene.open()
    scene.call(UpstreamRateLimited("x"), model="other")
    scene.told.states.clear()
    scene.now += 5
    scene.health.tick()
    assert sorted(scene.told.states) == [("p", "m", "half_open"), ("p", "other", "closed")]
    scene.told.states.clear()
    scene.health.tick()
    assert scene.told.states == [("p", "m", "half_open")]


def test_idle_targets_are_forgotten_before_memory_grows():
    scene = Scene()
    scene.open("opened")
    busy = scene.enter("busy")
    for number in range(1000):
        scene.call(model=f"invented-{number}", seconds=0.0)
    assert len(scene.health.all()) == 8
    assert scene.health.view("p", "opened").state == "open"
    assert scene.health.view("p", "busy").open_calls == 1
    busy.ended(None)


def test_when_all_are_in_use_a_new_one_passes_and_is_not_remembered():
    scene = Scene()
    attempts = [scene.enter(f"busy-{number}") for number in range(8)]
    for _ in range(10):
        scene.call(FAILED, model="ninth")
    assert scene.health.view("p", "ninth") is HEALTHY
    for attempt in attempts:
        attempt.ended(None)
    scene.open("ninth")


def test_cooled_targets_that_nobody_looks_at_can_be_forgotten_later():
    scene = Scene()
    for number in range(8):
        scene.call(UpstreamRateLimited("x"), model=f"m{number}", seconds=0.0)
    scene.now += 2
    scene.call(model="new")
    assert scene.health.view("p", "new").latency == 0.5


def test_endless_names_share_a_record():
    scene = Scene()
    for end in "abcde":
        scene.call(FAILED, model="x" * 1_000_000 + end)
    (view,) = scene.health.all()
    assert view.state == "open"
    assert len(view.model) == 200


def test_a_failed_check_opens_known_and_configured_targets_of_its_provider():
    scene = Scene()
    scene.call(model="called")
    elsewhere = scene.health.enter("q", "m", streamed=False)
    scene.health.checked("p", ["configured"], UpstreamUnreachable("x"))
    states = {(view.provider, view.model): view.state for view in scene.health.all()}
    assert states == {("p", "called"): "open", ("p", "configured"): "open", ("q", "m"): "closed"}
    assert elsewhere is not None


def test_a_good_check_closes_what_is_half_open():
    scene = Scene()
    scene.open()
    scene.now += 5
    scene.health.checked("p", [], None)
    assert scene.health.view("p", "m").state == "closed"


def test_a_check_that_is_rate_limited_says_nothing():
    scene = Scene()
    scene.health.checked("p", ["m"], UpstreamRateLimited("x"))
    assert scene.health.all() == []


def test_the_policys_numbers_count():
    scene = Scene(failures=2, open_seconds=1.0)
    scene.call(FAILED, seconds=0.0)
    scene.call(FAILED, seconds=0.0)
    assert scene.health.view("p", "m").wait == 1.0


def test_many_threads_get_one_probe_and_lose_no_count():
    scene = Scene()
    scene.open()
    scene.now += 5
    barrier = threading.Barrier(16)
    entered: list[Attempt] = []

    def calls() -> None:
        barrier.wait(timeout=10)
        for _ in range(200):
            attempt = scene.health.enter("p", "m", streamed=False)
            if attempt is not None:
                entered.append(attempt)

    threads = [threading.Thread(target=calls) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [attempt.probe for attempt in entered] == [True]
    entered[0].ended(None)
    assert scene.health.view("p", "m").open_calls == 0


def test_threads_leave_nothing_open():
    scene = Scene()
    ends: Counter[str] = Counter()

    def calls(number: int) -> None:
        for turn in range(300):
            attempt = scene.health.enter("p", f"m{turn % 3}", streamed=bool(turn % 2))
            if attempt is None:
                ends["refused"] += 1
                continue
            attempt.answered(0.1)
            attempt.ended(FAILED if (turn + number) % 3 else None)
            scene.health.may_repeat("p", f"m{turn % 3}")
            scene.health.tick()

    threads = [threading.Thread(target=calls, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [view.open_calls for view in scene.health.all()] == [0, 0, 0]
    assert ends["refused"] > 0
