"""A registry of health whose clock stands still until it is moved."""

from __future__ import annotations

from torana.errors import ToranaError, UpstreamTimeout
from torana.inference.health import Attempt, Health
from torana.routing.breaker import Change
from torana.routing.health import HealthPolicy, State

FAILED = UpstreamTimeout("x")


class Told:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str, State]] = []
        self.transitions: list[tuple[str, Change]] = []

    def target_state(self, provider: str, model: str, state: State) -> None:
        self.states.append((provider, model, state))

    def breaker_transition(self, provider: str, to: Change) -> None:
        self.transitions.append((provider, to))


class Scene:
    """A registry whose clock stands still until it is moved."""

    def __init__(self, **policy: float) -> None:
        self.now = 100.0
        self.told = Told()
        self.health = Health(
            HealthPolicy(**policy),  # type: ignore[arg-type]
            metrics=self.told,
            clock=lambda: self.now,
            chance=lambda: 0.5,
            most=8,
        )

    def enter(self, model: str = "m", *, streamed: bool = False, again: bool = False) -> Attempt:
        attempt = self.health.enter("p", model, streamed=streamed, again=again)
        assert attempt is not None
        return attempt

    def call(self, error: ToranaError | None = None, *, model: str = "m", seconds=0.5) -> None:
        attempt = self.enter(model)
        self.now += seconds
        if error is None:
            attempt.answered(seconds)
        attempt.ended(error)

    def open(self, model: str = "m") -> None:
        for _ in range(5):
            self.call(FAILED, model=model, seconds=0.0)
        assert self.health.view("p", model).state == "open"
