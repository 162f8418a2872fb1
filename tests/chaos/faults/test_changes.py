"""The configuration is changed while callers call: no call is lost, and none goes where it was.

What a call is answered with names the provider and the key that it was sent with, so each answer
can be held against what was in force.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.conftest import Print
from tests.chaos.faults import traces
from tests.chaos.faults.load import Callers, Load, Told
from tests.chaos.faults.plays import play
from tests.chaos.faults.scene import DEADLINES, Scene
from torana.admin.provider_keys import add_key, list_keys, remove_key
from torana.admin.providers import remove_provider
from torana.admin.routes import put_route
from torana.routing.routes import STRATEGIES, Route, RouteTarget

CALLERS = 8
STALE_SECONDS = 1.25
"""A process reads the configuration a second after it has read it last."""
LAGS = 4
"""Each reading takes so many turns at most; a lag of the process delays each."""
PAUSE_SECONDS = {False: 0.04, True: 1.5}
"""Between changes at most, in the short and the long form."""
PERMANENT = ("north", "south", "west")
GUEST = "guest"
MODEL = "moving"
Answer = tuple[str, str]
"""A provider and the key that it was called with."""


@dataclass
class Change:
    """A change, from when it may and from when it must have been seen, and what holds after it."""

    began: float
    ended: float
    in_force: frozenset[Answer]


@dataclass
class Admin:
    """Changes the configuration, and keeps a record of what is in force."""

    scene: Scene
    draw: random.Random
    keys: dict[str, list[str]] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def begin(self) -> None:
        """The first configuration."""
        for name in PERMANENT:
            self.scene.provider(name)
            self.keys[name] = [f"sk-{name}"]
        self._note(self.reroute)

    def change(self, number: int) -> None:
        """One change: every kind has its turn."""
        kinds: list[Callable[[], None]] = [self.reroute, self.invite, self.rekey, self.reroute]
        kinds += [self.rekey, self.part]
        self._note(kinds[number % len(kinds)])

    def _note(self, kind: Callable[[], None]) -> None:
        began = time.monotonic()
        kind()
        held = frozenset((name, key) for name in self.targets for key in self.keys[name])
        self.changes.append(Change(began, time.monotonic(), held))

    def reroute(self) -> None:
        """Other targets, weights, priorities and strategy."""
        known = list(self.keys)
        self._put(self.draw.sample(known, self.draw.randint(1, len(known))))

    def invite(self) -> None:
        """A provider that was not there, and the route leads to it."""
        first = f"sk-{GUEST}-{len(self.changes)}"
        self.scene.provider(GUEST, "steady", ("first", first))
        self.keys[GUEST] = [first]
        self._put([GUEST, self.draw.choice(PERMANENT)])

    def rekey(self) -> None:
        """Another key, and the oldest goes."""
        name = self.draw.choice([*self.keys])
        made = f"sk-{name}-{len(self.changes)}"
        scene = self.scene
        old = list_keys(scene.database, name)
        add_key(scene.database, scene.box, name, label=f"key-{len(self.changes)}", secret=made)
        remove_key(scene.database, name, old[0].id)
        self.keys[name] = [*self.keys[name][1:], made]

    def part(self) -> None:
        """The guest goes, first from the route."""
        self._put(list(PERMANENT))
        remove_provider(self.scene.database, GUEST)
        del self.keys[GUEST]

    def _put(self, names: list[str]) -> None:
        draw = self.draw
        put_route(
            self.scene.database,
            Route(
                name=MODEL,
                targets=tuple(
                    RouteTarget(
                        provider=name,
                        model=MODEL,
                        priority=draw.randint(1, 2),
                        weight=draw.randint(1, 5),
                    )
                    for name in names
                ),
                strategy=draw.choice(STRATEGIES),
                sticky=draw.random() < 0.3,
                deadlines=DEADLINES,
            ),
        )
        self.targets = names

    def staleness(self, told: Told) -> float:
        """Seconds by which what answered a call was out of force when the call began."""
        provider, key = told.text.split()[:2]
        # Each lasts from its beginning to the end of the change that follows it.
        ends = [change.ended for change in self.changes[1:]] + [float("inf")]
        lasts = [
            until
            for change, until in zip(self.changes, ends, strict=True)
            if (provider, key) in change.in_force and change.began <= told.ended
        ]
        return max(0.0, told.began - max(lasts)) if lasts else float("inf")


def test_a_configuration_that_changes_under_load_loses_no_call(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    changes = 50
    admin = Admin(faults, random.Random(17))
    faults.providers.play(moving=play(seed=17, share=0.0, wait_ms=10))
    admin.begin()
    faults.everywhere()
    over: list[bool] = []
    callers = Callers(
        Load(
            port=faults.web.port,
            key=faults.key,
            models=[MODEL],
            calls=1_000_000,
            parallel=CALLERS,
            seed=17,
            until=lambda: bool(over),
        )
    ).start()
    try:
        for number in range(changes):
            admin.change(number)
            time.sleep(PAUSE_SECONDS[is_long] * admin.draw.random())
        time.sleep(1.5)  # Calls after the last change.
    finally:
        over.append(True)
        callers.join()
    faults.settled()
    ages = sorted(admin.staleness(told) for told in callers.told if told.whole)
    lag = traces.longest_lag(traces.read(faults.folder, [], since=callers.began))
    answers = {tuple(told.text.split()[:2]) for told in callers.told if told.whole}
    figures(
        "a configuration that changes under load",
        {
            "changes": len(admin.changes) - 1,
            "calls": len(callers.told),
            "as callers saw them": dict(callers.ends),
            "providers and keys that answered": len(answers),
            "longest call, s": f"{max(told.ended - told.began for told in callers.told):.2f}",
            "not in force any more": sum(age > 0 for age in ages),
            "longest out of force, s": f"{ages[-1]:.2f}",
            "longest lag, s": f"{lag:.2f}",
        },
    )
    assert len(admin.changes) == changes + 1
    assert callers.ends["ok"] == len(callers.told) > changes, callers.ends
    assert ages[-1] <= STALE_SECONDS + LAGS * lag
    # The changes did something: the guest answered, and so did several keys.
    assert GUEST in {provider for provider, _ in answers}
    assert len(answers) > 3
    faults.verify()
