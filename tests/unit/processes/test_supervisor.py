"""The supervisor's decisions, over fake groups and a clock that only moves when somebody waits."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from torana.errors import ConfigurationError
from torana.processes.child import Child, StartCancelled
from torana.processes.supervisor import Supervisor


class FakeStopping:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked_at = float("inf")
        self.urgent_at = float("inf")

    def clock(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.now >= self.asked_at

    def is_urgent(self) -> bool:
        return self.now >= self.urgent_at

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.is_set()


class FakeGroup:
    """A child whose life is told beforehand: when it ends, and what it does when asked."""

    def __init__(
        self,
        child: Child,
        world: "World",
        *,
        ends_at: float = float("inf"),
        code: int = 1,
        stops_in: float = 0.0,
        leftovers_until: float = 0.0,
    ) -> None:
        self.child = child
        self.world = world
        self.pid = len(world.groups) + 1
        self.ends_at = ends_at
        self.code = code
        self.stops_in = stops_in
        self.leftovers_until = leftovers_until
        self.closed = False

    def _now(self) -> float:
        return self.world.stopping.now

    def poll(self) -> int | None:
        return self.code if self._now() >= self.ends_at else None

    def alive(self) -> bool:
        return self.poll() is None or self._now() < self.leftovers_until

    def ask(self, number: signal.Signals) -> None:
        self.world.note(f"ask {self.child.name}" if self.poll() is None else "ask the rest")
        if self.poll() is None:
            self.ends_at = self._now() + self.stops_in
            self.code = -number

    def kill(self) -> None:
        self.world.note(f"kill {self.child.name}")
        self.ends_at = min(self.ends_at, self._now())
        self.leftovers_until = 0.0

    def last_lines(self) -> Sequence[str]:
        return ("first line", "last line")

    def close(self) -> None:
        self.closed = True


class FakeGuard:
    def __init__(self) -> None:
        self.told: list[list[int]] = []
        self.closed = False

    def tell(self, groups: Sequence[int]) -> None:
        self.told.append(list(groups))

    def close(self) -> None:
        self.closed = True


class World:
    def __init__(self) -> None:
        self.stopping = FakeStopping()
        self.groups: list[FakeGroup] = []
        self.lives: dict[str, list[dict[str, float]]] = {}
        self.events: list[tuple[float, str]] = []
        self.guard = FakeGuard()
        self.supervisor = Supervisor(
            self.stopping,
            stop_seconds=10.0,
            guard=self.guard,  # type: ignore[arg-type]
            spawn=self.spawn,
            clock=self.stopping.clock,
        )

    def spawn(self, child: Child) -> FakeGroup:
        lives = self.lives.get(child.name, [])
        life = lives.pop(0) if lives else {}
        group = FakeGroup(child, self, **life)  # type: ignore[arg-type]
        self.groups.append(group)
        self.note(f"start {child.name}")
        return group

    def note(self, what: str) -> None:
        self.events.append((round(self.stopping.now, 2), what))

    def said(self, *prefixes: str) -> list[str]:
        return [what for _, what in self.events if what.startswith(prefixes)]

    def watch_until(self, done: Callable[[], bool], *, at_most: float = 300.0) -> None:
        end = self.stopping.now + at_most
        while not done():
            assert self.stopping.now < end, self.events
            self.stopping.wait(0.5)
            self.supervisor.watch()


@pytest.fixture
def world() -> World:
    return World()


def child(name: str, **changes: Any) -> Child:
    return replace(Child(name=name, argv=("program",)), **changes)


# --- start -------------------------------------------------------------------------------------


def test_the_next_child_starts_when_the_one_before_is_ready(world: World) -> None:
    world.supervisor.start(child("redis", ready=lambda: world.stopping.now >= 3))
    world.supervisor.start(child("web"))
    assert world.said("start") == ["start redis", "start web"]
    assert world.events[1][0] == pytest.approx(3, abs=0.05)
    assert [state.ready for state in world.supervisor.states()] == [True, True]


def test_a_child_without_gate_is_waited_for_later(world: World) -> None:
    world.supervisor.start(child("model", gate=False, ready=lambda: world.stopping.now >= 3))
    world.supervisor.start(child("web"))
    assert world.stopping.now == 0
    world.supervisor.wait_ready()
    assert world.stopping.now == pytest.approx(3, abs=0.05)


def test_a_child_that_ends_while_starting_says_its_last_lines_and_what_to_do(world: World) -> None:
    world.lives["redis"] = [{"ends_at": 1, "code": 3}]
    told: list[Sequence[str]] = []

    def diagnose(lines: Sequence[str]) -> str:
        told.append(lines)
        return "Do this."

    with pytest.raises(ConfigurationError) as caught:
        world.supervisor.start(child("redis", ready=lambda: False, diagnose=diagnose))
    assert caught.value.message == (
        "`redis` ended with exit code 3 before it was ready. Its last lines:\n"
        "  first line\n  last line"
    )
    assert caught.value.hint == "Do this."
    assert told == [("first line", "last line")]


def test_a_child_that_is_killed_while_starting_names_the_signal(world: World) -> None:
    world.lives["redis"] = [{"ends_at": 1, "code": -9}]
    with pytest.raises(ConfigurationError, match="signal 9"):
        world.supervisor.start(child("redis", ready=lambda: False))


def test_a_child_that_is_not_ready_in_time_is_an_error(world: World) -> None:
    with pytest.raises(ConfigurationError, match="not ready within 7 s"):
        world.supervisor.start(child("web", ready=lambda: False, ready_seconds=7))
    assert world.stopping.now == pytest.approx(7, abs=0.05)


def test_the_wish_to_stop_cancels_a_start(world: World) -> None:
    world.stopping.asked_at = 2
    with pytest.raises(StartCancelled):
        world.supervisor.start(child("web", ready=lambda: False))
    assert world.stopping.now == pytest.approx(2, abs=0.05)
    with pytest.raises(StartCancelled):
        world.supervisor.start(child("worker"))
    assert world.said("start") == ["start web"]


def test_leaving_the_context_stops_what_was_started(world: World) -> None:
    with world.supervisor as supervisor:
        supervisor.start(child("redis"))
        supervisor.start(child("web"))
    assert not any(group.alive() for group in world.groups)
    assert world.guard.closed


def test_another_thread_may_not_start_children(world: World) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            world.supervisor.start(child("web"))
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert world.groups == []


# --- run ---------------------------------------------------------------------------------------


def test_a_child_that_dies_is_started_again_later_each_time(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "torana.up")
    world.lives["web"] = [{"ends_at": 10}, {"ends_at": 11}, {"ends_at": 14}]
    world.supervisor.start(child("web"))
    world.watch_until(lambda: len(world.groups) == 4)
    died = [record for record in caplog.records if record.msg == "child.died"]
    assert [vars(record)["restart_in"] for record in died] == [0.5, 1.0, 2.0]
    assert {vars(record)["child"] for record in died} == {"web"}
    assert {vars(record)["exit_code"] for record in died} == {1}
    assert world.supervisor.states()[0].restarts == 3
    assert [group.closed for group in world.groups] == [True, True, True, False]


def test_a_child_that_is_to_stay_down_stays_down(world: World) -> None:
    world.lives["once"] = [{"ends_at": 1, "code": 0}]
    world.supervisor.start(child("once", restart=False))
    world.watch_until(lambda: world.stopping.now > 100)
    assert world.said("start") == ["start once"]
    assert world.supervisor.states()[0].pid is None


def test_a_child_is_not_started_beside_its_leftovers(world: World) -> None:
    world.lives["web"] = [{"ends_at": 10, "leftovers_until": 13}]
    world.supervisor.start(child("web"))
    world.watch_until(lambda: len(world.groups) == 2)
    assert "ask the rest" in world.said("ask")
    assert world.said("kill") == []
    assert 13 <= world.stopping.now <= 14


def test_leftovers_that_stay_are_killed(world: World) -> None:
    world.lives["web"] = [{"ends_at": 10, "leftovers_until": 1000}]
    world.supervisor.start(child("web"))
    world.watch_until(lambda: len(world.groups) == 2)
    assert world.said("kill") == ["kill web"]
    assert 15 <= world.stopping.now <= 16


def test_a_restarted_child_that_hangs_is_killed_and_started_again(world: World) -> None:
    world.lives["web"] = [{"ends_at": 10}]
    hangs = [False]
    world.supervisor.start(child("web", ready=lambda: not hangs[0], ready_seconds=20))
    hangs[0] = True
    world.watch_until(lambda: len(world.groups) == 3)
    assert world.said("kill") == ["kill web"]
    hangs[0] = False
    world.watch_until(lambda: world.supervisor.states()[0].ready)


def test_a_start_that_the_system_refuses_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lives["web"] = [{"ends_at": 10}]
    world.supervisor.start(child("web"))
    refused = [OSError("no more processes"), OSError("no more processes")]

    def spawn(wanted: Child) -> FakeGroup:
        if refused:
            raise refused.pop()
        return world.spawn(wanted)

    monkeypatch.setattr(world.supervisor, "_spawn", spawn)
    world.watch_until(lambda: len(world.groups) == 2)
    assert refused == []


def test_run_ends_with_the_wish_to_stop(world: World) -> None:
    world.supervisor.start(child("web"))
    world.stopping.asked_at = 5
    world.supervisor.run()
    assert world.stopping.now == pytest.approx(5, abs=0.5)


def test_the_guard_knows_who_runs(world: World) -> None:
    world.lives["redis"] = [{"ends_at": 10}]
    world.supervisor.start(child("redis"))
    world.supervisor.start(child("web"))
    assert world.guard.told[-1] == [1, 2]
    world.watch_until(lambda: world.guard.told[-1] == [2])
    world.watch_until(lambda: world.guard.told[-1] == [3, 2])


# --- stop --------------------------------------------------------------------------------------


def test_stages_stop_one_after_another_and_last_started_first(world: World) -> None:
    for name, order in (("redis", 2), ("model", 1), ("web", 0), ("worker", 0)):
        world.lives[name] = [{"stops_in": 1}]
        world.supervisor.start(child(name, stop_order=order))
    world.supervisor.stop()
    asked = [(at, what) for at, what in world.events if what.startswith("ask")]
    assert [what for _, what in asked if what != "ask the rest"] == [
        "ask worker",
        "ask web",
        "ask model",
        "ask redis",
    ]
    assert world.said("kill") == []
    assert world.stopping.now == pytest.approx(3, abs=0.1)
    assert world.guard.closed


def test_everything_ends_in_time_even_if_nobody_listens(world: World) -> None:
    for name, order in (("redis", 2), ("model", 1), ("web", 0)):
        world.lives[name] = [{"stops_in": 1000}]
        world.supervisor.start(child(name, stop_order=order))
    world.supervisor.stop()
    assert world.said("kill") == ["kill web", "kill model", "kill redis"]
    assert not any(group.alive() for group in world.groups)
    assert world.stopping.now <= 10


def test_a_slow_first_stage_leaves_time_for_the_last(world: World) -> None:
    world.lives = {"redis": [{"stops_in": 1}], "web": [{"stops_in": 1000}]}
    world.supervisor.start(child("redis", stop_order=1))
    world.supervisor.start(child("web"))
    world.supervisor.stop()
    assert world.said("kill") == ["kill web"]


def test_what_a_stopped_child_leaves_is_asked_and_then_killed(world: World) -> None:
    world.lives["web"] = [{"stops_in": 1, "leftovers_until": 1000}]
    world.supervisor.start(child("web"))
    world.supervisor.stop()
    assert world.said("ask", "kill") == ["ask web", "ask the rest", "kill web"]
    assert world.stopping.now <= 10


def test_asking_again_kills_at_once(world: World) -> None:
    world.lives["web"] = [{"stops_in": 1000}]
    world.supervisor.start(child("web"))
    world.stopping.urgent_at = 2
    world.supervisor.stop()
    assert world.said("kill") == ["kill web"]
    assert world.stopping.now == pytest.approx(2, abs=0.1)


def test_stopping_twice_is_harmless(world: World) -> None:
    world.supervisor.start(child("web"))
    world.supervisor.stop()
    world.supervisor.stop()
    assert world.said("ask") == ["ask web"]
