from collections.abc import Iterable

import pytest

from torana.coordination import ActiveChecks, CheckPlan
from torana.errors import ToranaError, UpstreamUnreachable


class Scene:
    """Checks that remember, of providers that are down when told so."""

    def __init__(self, *plans: CheckPlan) -> None:
        self.plans = list(plans)
        self.now = 0.0
        self.down: set[str] = set()
        self.asked: list[str] = []
        self.told: list[tuple[str, tuple[str, ...], str | None]] = []
        self.checks = ActiveChecks(
            self,
            plans=lambda: self.plans,
            check=self.check,
            redis=None,
            clock=lambda: self.now,
        )

    def check(self, provider: str) -> ToranaError | None:
        self.asked.append(provider)
        return UpstreamUnreachable("x") if provider in self.down else None

    def checked(self, provider: str, models: Iterable[str], error: ToranaError | None) -> None:
        self.told.append((provider, tuple(models), None if error is None else error.code))

    def run(self, *times: float) -> None:
        for self.now in times:
            self.checks.run_once()


ONE = CheckPlan(provider="one", seconds=10.0, models=("m", "n"))
OTHER = CheckPlan(provider="other", seconds=3.0)


def test_each_provider_is_checked_when_it_is_due():
    scene = Scene(ONE, OTHER)
    scene.run(*range(11))
    assert scene.asked.count("one") == 2
    assert scene.asked.count("other") == 4


def test_the_outcome_is_told_with_the_models():
    scene = Scene(ONE)
    scene.run(0.0)
    scene.down.add("one")
    scene.run(10.0)
    assert scene.told == [("one", ("m", "n"), None), ("one", ("m", "n"), "upstream_unreachable")]


def test_no_provider_is_checked_more_often_than_each_second():
    scene = Scene(CheckPlan(provider="one", seconds=0.0))
    scene.run(0.0, 0.5, 0.9, 1.0)
    assert len(scene.asked) == 2


def test_a_provider_that_is_gone_is_forgotten():
    scene = Scene(ONE)
    scene.run(0.0)
    scene.plans = []
    scene.run(20.0)
    scene.plans = [ONE]
    scene.run(20.1)
    assert len(scene.asked) == 2


def test_a_check_that_breaks_is_not_repeated_at_once():
    scene = Scene(ONE)
    broken = {"one": 1}
    scene.checks = ActiveChecks(
        scene,
        plans=lambda: scene.plans,
        check=lambda provider: scene.check(str(broken.pop(provider))),
        redis=None,
        clock=lambda: scene.now,
    )
    scene.run(0.0)
    with pytest.raises(KeyError):
        scene.run(10.0)
    scene.run(11.0)
    assert scene.asked == ["1"]
