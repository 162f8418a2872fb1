"""What a registry of health tells other processes, and takes from them."""

import pytest

from tests.unit.inference.health_scene import Scene
from torana.errors import UpstreamRateLimited
from torana.routing.health import HEALTHY, HealthNews


def test_changes_are_told_once_and_again_when_they_could_not_be():
    scene = Scene()
    scene.open()
    scene.now += 1
    (news,) = scene.health.changes()
    assert news == HealthNews(
        provider="p", model="m", kind="open", wait=4.0, age=1.0, opens=1, reason="upstream_timeout"
    )
    assert scene.health.changes() == []
    scene.health.keep_changes([news])
    scene.now += 1
    assert [again.wait for again in scene.health.changes()] == [3.0]


def test_a_change_that_is_over_is_not_told():
    scene = Scene()
    scene.open()
    scene.call(UpstreamRateLimited("x"), model="other", seconds=0.0)
    scene.now += 60
    assert scene.health.changes() == []
    assert scene.health.present() == []


def test_where_nobody_listens_changes_do_not_pile_up():
    scene = Scene()
    for number in range(1000):
        scene.open(f"invented-{number}")
        scene.now += 5
        scene.call(model=f"invented-{number}", seconds=0.0)
    assert len(scene.health.changes()) <= 8


def test_a_closing_is_told():
    scene = Scene()
    scene.open()
    scene.health.changes()
    scene.now += 5
    scene.call(seconds=0.0)
    scene.now += 2
    (news,) = scene.health.changes()
    assert (news.kind, news.age, news.wait) == ("closed", 2.0, 0.0)


@pytest.mark.parametrize("kind", ["open", "cooling"])
def test_what_is_adopted_closes_the_target_and_is_not_told_back(kind):
    scene = Scene()
    scene.health.adopt(
        HealthNews(provider="p", model="m", kind=kind, wait=3.0, age=0.2, opens=1, reason="why")
    )
    view = scene.health.view("p", "m")
    assert (view.state, view.wait, view.reason) == (kind, 3.0, "why")
    assert scene.health.changes() == []
    assert [news.kind for news in scene.health.present()] == [kind]
    assert scene.told.transitions == []
    assert scene.told.states == [("p", "m", kind)]


def adopted(kind: str, *, wait: float = 0.0, age: float = 0.0) -> HealthNews:
    return HealthNews(provider="p", model="m", kind=kind, wait=wait, age=age)  # type: ignore[arg-type]


def test_a_closing_from_elsewhere_closes_it():
    scene = Scene()
    scene.open()
    scene.now += 3
    scene.health.adopt(adopted("closed", age=1.0))
    assert scene.health.view("p", "m").state == "closed"


def test_openings_and_closings_from_elsewhere_are_compared_by_when_they_happened():
    scene = Scene()
    scene.health.adopt(adopted("open", wait=9.0, age=3.0))
    scene.health.adopt(adopted("closed", age=4.0))
    assert scene.health.view("p", "m").state == "open"
    scene.health.adopt(adopted("closed", age=2.0))
    assert scene.health.view("p", "m").state == "closed"
    scene.health.adopt(adopted("open", wait=9.0, age=2.5))
    assert scene.health.view("p", "m").state == "closed"
    scene.health.adopt(adopted("open", wait=9.0, age=1.0))
    assert scene.health.view("p", "m").state == "open"


def test_a_closing_from_before_it_opened_here_does_not():
    scene = Scene()
    scene.open()
    scene.now += 3
    scene.health.adopt(adopted("closed", age=4.0))
    assert scene.health.view("p", "m").state == "open"


def test_an_opening_from_before_it_was_closed_here_does_not_open_it():
    scene = Scene()
    scene.open()
    scene.now += 5
    scene.call(seconds=0.0)
    scene.now += 1
    scene.health.adopt(adopted("open", wait=9.0, age=2.0))
    assert scene.health.view("p", "m").state == "closed"
    scene.health.adopt(adopted("open", wait=9.0, age=0.5))
    assert scene.health.view("p", "m").state == "open"


@pytest.mark.parametrize(("kind", "longest"), [("open", 72.0), ("cooling", 60.0)])
def test_nobody_can_close_a_target_for_ever(kind, longest):
    scene = Scene()
    scene.health.adopt(adopted(kind, wait=1e12))
    assert scene.health.view("p", "m").wait == longest


@pytest.mark.parametrize("kind", ["open", "cooling"])
def test_what_is_over_is_not_adopted(kind):
    scene = Scene()
    scene.health.adopt(adopted(kind, wait=0.0))
    assert scene.health.view("p", "m").state == "closed"


def test_where_health_is_shared_a_probe_needs_the_lease():
    scene = Scene()
    scene.health.shared = True
    scene.open()
    scene.now += 5
    assert [wish.wanted for wish in scene.health.probe_wishes()] == [False]
    assert scene.health.view("p", "m").wait == 0.0
    assert scene.health.enter("p", "m", streamed=False) is None
    assert [wish.wanted for wish in scene.health.probe_wishes()] == [True]
    assert scene.health.view("p", "m").wait == 0.5
    scene.health.lease("p", "m", 1.5, own=False)
    assert scene.health.enter("p", "m", streamed=False) is None
    scene.health.lease("p", "m", 1.5, own=True)
    assert scene.health.view("p", "m").wait == 0.0
    probe = scene.enter()
    assert probe.probe
    scene.now += 10
    assert [wish.wanted for wish in scene.health.probe_wishes()] == [True]
    probe.ended(None)
    assert scene.health.probe_wishes() == []


def test_where_calls_are_rare_a_probe_needs_no_lease():
    scene = Scene()
    scene.health.shared = True
    scene.open()
    scene.now += 60
    assert scene.enter().probe


def test_a_lease_of_a_target_that_is_forgotten_is_nothing():
    scene = Scene()
    scene.health.lease("p", "unknown", 1.0, own=True)
    assert scene.health.view("p", "unknown") is HEALTHY
