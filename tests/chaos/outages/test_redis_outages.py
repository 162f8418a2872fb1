"""Redis is lost in every way: callers see nothing of it but misses, and it heals by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.chaos.outages.gateways import Gateway, timed
from tests.chaos.outages.probe import Probe, call, probing, quantile, summary
from tests.chaos.outages.scene import FORSAKEN, KEPT, PLAIN, Scene

HEAL_SECONDS = 12.0
"""Up to five of patience, and the machine may be slow."""
PATIENT_SECONDS = 0.5
"""What a call pays at most that asks Redis just when it does not answer; see `SharedRedis`."""
NOISE_SECONDS = 1.0
"""What a busy machine may add to one call among hundreds."""
PAYING_SHARE = 0.1
"""Of the calls of an outage; the others do not wait at all."""


@dataclass(frozen=True)
class Loss:
    """A way to lose Redis.

    Attributes:
        keeps: what was kept before is read while it lasts.
        only_relayed: only the process behind the relays notices.
        ready: what `/readyz` says meanwhile.
    """

    begin: Callable[[Scene], None]
    end: Callable[[Scene], None]
    keeps: bool = False
    only_relayed: bool = False
    ready: str = "degraded"


def _slow(scene: Scene) -> None:
    scene.redis_relay.delay = 2.0


def _fast(scene: Scene) -> None:
    scene.redis_relay.delay = 0.0


LOSSES = {
    "killed": Loss(lambda scene: scene.redis.kill(), lambda scene: scene.redis.start()),
    "stopped": Loss(lambda scene: scene.redis.stop(), lambda scene: scene.redis.wake()),
    "slow": Loss(_slow, _fast, only_relayed=True),
    "full": Loss(
        lambda scene: scene.redis.fill(),
        lambda scene: scene.redis.make_room(),
        keeps=True,
        ready="ready",
    ),
}


@pytest.fixture
def whole(outages: Scene):
    """The scene, whose Redis is restored whatever a test leaves behind."""
    yield outages
    _fast(outages)
    outages.redis.restore()


@pytest.mark.parametrize("way", LOSSES)
def test_callers_see_nothing_but_misses(whole: Scene, figures, seconds: float, way: str):
    loss = LOSSES[way]
    probe, times = _lose(whole, loss, seconds, way)
    before, during = probe.between("before", "outage"), probe.between("outage", "end")
    after = probe.between("after")
    usual = quantile(before, 0.5)
    paying = [told for told in during if told.seconds > usual + PATIENT_SECONDS / 2]
    repeated = [told for told in during if told.ask.text == way]
    hits = [told for told in repeated if told.cache == "hit"]
    result = whole.audit(probe.told)
    figures(
        f"Redis {way}",
        {
            "before": summary(before),
            "during": summary(during),
            "waited for Redis": f"{len(paying)} of {len(during)}",
            "hits during": f"{len(hits)} of {len(repeated)}",
            **times,
            "after": summary(after),
            "calls on the ledger": result.calls,
        },
    )
    assert {told.status for told in probe.told} == {200}
    assert all(told.whole for told in probe.told)
    assert quantile(during, 1.0) < quantile(before, 1.0) + PATIENT_SECONDS + NOISE_SECONDS
    assert len(paying) <= max(12, PAYING_SHARE * len(during))
    if loss.keeps:
        assert len(hits) == len(repeated)
    else:
        # Those under way when it began, and those that waited for an identical call.
        assert len(hits) <= len(repeated) / 2
    assert any(told.cache == "hit" for told in after)


def _lose(scene: Scene, loss: Loss, seconds: float, way: str) -> tuple[Probe, dict[str, str]]:
    """Lose Redis while callers ask, and get it back; what they were told, and the times."""
    hit = (scene.relayed,) if loss.only_relayed else scene.gateways
    for gateway in hit:
        assert call(gateway.ask(KEPT, text=way)).status == 200
        assert call(gateway.ask(KEPT, text=way)).cache == "hit"
    asks = [
        ask
        for gateway in hit
        for ask in (
            gateway.ask(KEPT, text=way),
            gateway.ask(PLAIN),
            gateway.ask(KEPT),
            gateway.ask(KEPT, stream=True),
        )
    ]
    with probing(asks) as probe:
        probe.mark("before")
        time.sleep(0.6)
        probe.mark("outage")
        loss.begin(scene)
        degraded = max(gateway.wait_until_ready(loss.ready, 10) for gateway in hit)
        time.sleep(seconds)
        probe.mark("end")
        loss.end(scene)
        ready = max(gateway.wait_until_ready("ready", HEAL_SECONDS) for gateway in hit)
        # A new question is answered, kept, and a hit the next time.
        healed = max(
            timed(partial(_keeps, gateway), HEAL_SECONDS, "a hit") + ready for gateway in hit
        )
        probe.mark("after")
        time.sleep(0.3)
    return probe, {
        "readyz tells of it after": f"{degraded:.2f} s",
        "ready again after": f"{ready:.2f} s",
        "cache heals after": f"{healed:.2f} s",
    }


def test_processes_tell_each_other_what_they_learnt_meanwhile(whole: Scene, figures):
    scene, target = whole, ("down", FORSAKEN)
    knows, hears = scene.direct, scene.relayed
    scene.redis.kill()
    failed = [call(knows.ask(FORSAKEN, patience=3)) for _ in range(3)]
    assert {told.status for told in failed} <= {502, 503}
    # Without Redis each process goes by what it knows itself.
    assert knows.target_state(*target) == "open"
    assert hears.target_state(*target) == "closed"
    scene.redis.start()
    told = timed(
        lambda: hears.target_state(*target) in {"open", "half_open"}, HEAL_SECONDS, "the news"
    )
    figures("health is shared again", {"after": f"{told:.2f} s"})


def _keeps(gateway: Gateway) -> bool:
    text = f"heals {time.monotonic_ns()}"
    return [call(gateway.ask(KEPT, text=text)).cache for _ in range(2)] == ["miss", "hit"]
