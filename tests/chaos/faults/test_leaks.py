"""Tens of thousands of calls with random faults leave nothing behind in the web processes."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from tests.chaos.conftest import Print
from tests.chaos.faults.load import Callers, Load, asked
from tests.chaos.faults.plays import DRIP, FAULTS, SLOW, evenly, play
from tests.chaos.faults.scene import WORKERS, Scene

PARALLEL = 40
MODELS = [f"leak{number}" for number in range(12)]
"""Each target has a breaker of its own, so that there are faults all the time."""
QUARTERS = 4
LEAK_BYTES = 100
"""A leak of so many bytes a call is found in the long form."""
LEAK_BLOCKS = 0.25
"""Objects a call; a leak has one at least."""
IDLE_SECONDS = 0.5
OF_A_CALL = ("OpenCall", "Exchange", "Attempts", "Course", "Leg", "Answer", "ChatStream", "Plan")
"""What belongs to calls only; none is there when no call is."""


def _sum(gauges: dict[int, dict[str, Any]], what: str) -> int:
    return sum(int(gauge[what]) for gauge in gauges.values())


def test_nothing_is_left_behind_by_calls_with_random_faults(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    calls = 50_000 if is_long else 2_000
    every = evenly(*FAULTS, SLOW, DRIP)
    faults.providers.play(
        **{name: play(seed=number, faults=every) for number, name in enumerate(MODELS)},
        **{
            f"{name}-second": play(seed=number, faults=every, share=0.03)
            for number, name in enumerate(MODELS)
        },
    )
    for name in MODELS:
        faults.route(name, f"faulty/{name}", f"steady/{name}-second")
    faults.everywhere()
    quarters: list[dict[int, dict[str, Any]]] = []
    runs: list[Callers] = []
    for quarter in range(QUARTERS):
        runs.append(
            asked(
                Load(
                    port=faults.web.port,
                    key=faults.key,
                    models=MODELS,
                    calls=calls // QUARTERS,
                    parallel=PARALLEL,
                    seed=quarter,
                    hangups=0.03,
                )
            )
        )
        faults.settled()
        time.sleep(IDLE_SECONDS)
        quarters.append(faults.gauges())
    played = [line.fault for line in faults.providers.take()]
    second, last = quarters[1], quarters[-1]
    between = calls / 2
    grown = _sum(last, "rss") - _sum(second, "rss")
    blocks = _sum(last, "blocks") - _sum(second, "blocks")
    ends = sum((run.ends for run in runs), Counter[str]())
    figures(
        "calls with random faults",
        {
            "calls": calls,
            "as callers saw them": dict(ends),
            "calls/s": round(calls / sum(run.seconds for run in runs)),
            "faults played": sum(fault in FAULTS for fault in played),
            "MB after each quarter": [round(_sum(one, "rss") / 1e6, 1) for one in quarters],
            "bytes a call, 2nd half": round(grown / between, 1),
            "objects after each quarter": [_sum(one, "blocks") for one in quarters],
            "objects a call, 2nd half": round(blocks / between, 3),
            "greenlets": [_sum(one, "greenlets") for one in quarters],
            "threads": [_sum(one, "threads") for one in quarters],
            "open files": [_sum(one, "files") for one in quarters],
            "sockets to providers": [_to_providers(faults, one) for one in quarters],
        },
    )
    for gauge in last.values():
        assert {kind: gauge["kinds"].get(kind, 0) for kind in OF_A_CALL} == dict.fromkeys(
            OF_A_CALL, 0
        )
    assert len(last) == WORKERS
    assert set(last) == set(second)  # The same processes: none has died.
    # What is kept for the next call: one connection for each that was under way, at most.
    assert _to_providers(faults, last) <= 2 * PARALLEL
    assert _sum(last, "greenlets") <= _sum(second, "greenlets")
    assert _sum(last, "threads") <= _sum(second, "threads")
    assert _sum(last, "files") <= _sum(second, "files") + PARALLEL
    if is_long:
        assert blocks <= LEAK_BLOCKS * between
        assert grown <= LEAK_BYTES * between


def _to_providers(faults: Scene, gauges: dict[int, dict[str, Any]]) -> int:
    ports = set(faults.providers.ports.values())
    return sum(port in ports for gauge in gauges.values() for port in gauge["peers"])
