"""What a scripted provider plays: the faults by name, and how often each comes.

Both sides read this: the provider's process, and the tests that tell it what to do.
"""

from __future__ import annotations

import random
from typing import Any

GOOD = "good"
SLOW = "slow"
"""A good answer that begins late."""
DRIP = "drip"
"""A good answer, a few bytes at a time."""

REFUSALS: dict[str, tuple[int, dict[str, str]]] = {
    "429": (429, {}),
    "429 retry-after": (429, {"retry-after": "1"}),
    "429 reset": (
        429,
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "500ms",
        },
    ),
    "500": (500, {}),
    "502": (502, {}),
    "503": (503, {}),
    "503 retry-after": (503, {"retry-after": "1"}),
    "529": (529, {}),
}
"""Faults that are said with a status."""
CLOSE_AT_ACCEPT = "closed at accept"
BEFORE_HEAD = (
    "silence",
    "closed before head",
    "reset before head",
    "no HTTP",
)
"""Faults after a request was read, of which its sender can't know what was done with it."""
IN_BODY = (
    "silence after head",
    "reset after head",
    "length too long",
    "length too short",
    "half a chunked body",
    "garbage in body",
)
"""Faults of an answer whose head was good."""
FAULTS = (*REFUSALS, CLOSE_AT_ACCEPT, *BEFORE_HEAD, *IN_BODY)
UNCERTAIN = frozenset({CLOSE_AT_ACCEPT, *BEFORE_HEAD, *IN_BODY})
"""After these the call may have been processed, so it costs its bound."""

LEVELS = (0.05, 0.5, 0.95)
"""How much of a slot fails: good times, mixed times and outages, all equally often."""


def play(
    *,
    seed: int,
    faults: dict[str, float] | None = None,
    body_faults: dict[str, float] | None = None,
    share: float | None = None,
    slot_seconds: float = 1.0,
    wait_ms: float = 0.0,
) -> dict[str, Any]:
    """What is played for a model of a provider.

    Args:
        seed: of all chance.
        faults: each with its weight; for streams too.
        body_faults: more of them, for JSON answers only.
        share: of the calls fail; None draws one of `LEVELS` for each slot of time.
        slot_seconds: how long one is.
        wait_ms: that each answer takes.
    """
    return {
        "seed": seed,
        "faults": faults or {},
        "body_faults": body_faults or {},
        "share": share,
        "slot_seconds": slot_seconds,
        "wait_ms": wait_ms,
    }


def evenly(*names: str) -> dict[str, float]:
    """The same weight for each; less for what closes a target to calls at once."""
    return {name: 0.3 if name.startswith("429") else 1.0 for name in names}


class Player:
    """Draws what happens to each call of one model."""

    def __init__(self, script: dict[str, Any]) -> None:
        self._script = script
        self._random = random.Random(f"calls {script['seed']}")
        self._began: float | None = None
        self.wait_seconds = script["wait_ms"] / 1000

    def share(self, now: float) -> float:
        """How much fails at present."""
        share: float | None = self._script["share"]
        if share is not None:
            return share
        if self._began is None:
            self._began = now
        slot = int((now - self._began) / self._script["slot_seconds"])
        return random.Random(f"slots {self._script['seed']} {slot}").choice(LEVELS)

    def accepts(self, now: float) -> bool:
        """Whether a new connection is kept."""
        weights = {**self._script["faults"], **self._script["body_faults"]}
        weight: float = weights.get(CLOSE_AT_ACCEPT, 0.0)
        if not weight:
            return True
        total: float = sum(weights.values())
        return self._random.random() >= self.share(now) * weight / total

    def draw(self, now: float, *, streamed: bool) -> str:
        """What happens to a call."""
        weights: dict[str, float] = dict(self._script["faults"])
        if not streamed:
            weights |= self._script["body_faults"]
        weights.pop(CLOSE_AT_ACCEPT, None)
        if weights and self._random.random() < self.share(now):
            return self._random.choices(list(weights), list(weights.values()))[0]
        return GOOD
