"""Names of providers can't be resolved: their calls go elsewhere, and nobody else waits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.outages.probe import call, probing, quantile, summary
from tests.chaos.outages.scene import CONNECT_SECONDS, HELD, PLAIN, UNRESOLVED, Scene

NOISE_SECONDS = 1.0
WAITS_SECONDS = 0.5 + 1.0
"""Between the attempts at the only target, at most."""
PATIENCE_SECONDS = 4.0
HELD_CALLS = 30
CLEAN = {"upstream_unreachable", "upstream_timeout", "no_target_available"}


def test_a_name_that_nobody_knows_fails_over_at_once(outages: Scene, figures):
    gateway = outages.direct
    fallen = [call(gateway.ask(UNRESOLVED, stream=number % 2 == 1)) for number in range(8)]
    alone = [call(gateway.ask("unknown/other"))]
    figures("no such name", {"with a fallback": summary(fallen), "alone": summary(alone)})
    assert {told.status for told in fallen} == {200}
    assert all(told.whole for told in fallen)
    assert quantile(fallen, 1.0) < NOISE_SECONDS
    assert {told.status for told in alone} <= {502, 503}
    assert {told.code for told in alone} <= CLEAN
    assert quantile(alone, 1.0) < WAITS_SECONDS + NOISE_SECONDS
    outages.audit([*fallen, *alone])


def test_a_name_server_that_says_nothing_holds_up_only_the_calls_for_its_names(
    outages: Scene, figures
):
    scene, gateway = outages, outages.direct
    if scene.names is None or gateway.disk is None:
        pytest.skip("this account may have no name server or no namespace of its own")
    with probing([gateway.ask(PLAIN), gateway.ask(PLAIN, stream=True)], pause=0.02) as probe:
        probe.mark("before")
        time.sleep(0.6)
        probe.mark("outage")
        with ThreadPoolExecutor(2 * HELD_CALLS) as pool:
            held = list(pool.map(call, [gateway.ask(HELD)] * HELD_CALLS))
            alone = list(
                pool.map(
                    call, [gateway.ask("silent/other", patience=PATIENCE_SECONDS)] * HELD_CALLS
                )
            )
        later = [call(gateway.ask(HELD)) for _ in range(3)]
        probe.mark("end")
    before, during = probe.between("before", "outage"), probe.between("outage", "end")
    figures(
        "a silent name server",
        {
            "others before": summary(before),
            "others meanwhile": summary(during),
            "with a fallback": summary(held),
            "alone": summary(alone),
            "once the breaker knows": summary(later),
        },
    )
    assert any(name.startswith("provider.silent") for name in scene.names)
    assert {told.status for told in [*during, *held, *later]} == {200}
    # Its part of the connection's time, and then the fallback.
    assert quantile(held, 1.0) < CONNECT_SECONDS + NOISE_SECONDS
    assert quantile(later, 0.5) < CONNECT_SECONDS / 2
    assert {told.status for told in alone} <= {502, 503, 504}
    assert {told.code for told in alone} <= CLEAN
    assert quantile(alone, 1.0) < PATIENCE_SECONDS + NOISE_SECONDS
    assert quantile(during, 0.5) < quantile(before, 0.5) + 0.2
    assert quantile(during, 1.0) < quantile(before, 1.0) + NOISE_SECONDS
    scene.audit([*probe.told, *held, *alone, *later])
