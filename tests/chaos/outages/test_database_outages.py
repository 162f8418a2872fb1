"""PostgreSQL is lost in every way: new calls are turned away, open ones finish, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from bench.processes import wait_until
from tests.chaos.outages.probe import Told, call, probing, quantile, summary
from tests.chaos.outages.scene import KEPT, LONG, PLAIN, Gateway, Scene, postgres_stopped

AT_ONCE_SECONDS = 0.3
"""Within which a new call is turned away, once a process knows that the database is away."""
LANE_SECONDS = 5.0
"""What the calls wait that find out that it is silent: 3 s for an answer, and 2 s for a new
connection. Where an answer was on its way, that is 2 s more."""
NOISE_SECONDS = 1.0
HEAL_SECONDS = 20.0
UNAVAILABLE = "ledger_unavailable"


@contextmanager
def _killed(scene: Scene) -> Iterator[None]:
    scene.postgres.crash()
    try:
        yield
    finally:
        scene.postgres.start()


@contextmanager
def _stopped(scene: Scene) -> Iterator[None]:
    with postgres_stopped(scene.postgres):
        yield


@contextmanager
def _slow(scene: Scene) -> Iterator[None]:
    scene.database_relay.delay = 2.0
    try:
        yield
    finally:
        scene.database_relay.delay = 0.0


@contextmanager
def _read_only(scene: Scene) -> Iterator[None]:
    """As after a failover to a standby that was not promoted."""
    _say(scene, "on")
    try:
        yield
    finally:
        _say(scene, "off")


def _say(scene: Scene, read_only: str) -> None:
    name = scene.url.rpartition("/")[2]
    with psycopg.connect(scene.postgres.url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )


@contextmanager
def _with_redis(scene: Scene) -> Iterator[None]:
    """Both at once do not answer."""
    scene.redis.stop()
    try:
        with postgres_stopped(scene.postgres):
            yield
    finally:
        scene.redis.wake()


@dataclass(frozen=True)
class Loss:
    """A way to lose the database.

    Attributes:
        silent: it is there and does not answer in time.
        only_relayed: only the process behind the relays notices.
        ready: what `/readyz` says meanwhile.
    """

    lost: Callable[[Scene], AbstractContextManager[None]]
    silent: bool = False
    only_relayed: bool = False
    ready: str = "unavailable"


LOSSES = {
    "killed": Loss(_killed),
    "read-only": Loss(_read_only),
    "stopped with Redis": Loss(_with_redis, silent=True),
    "stopped": Loss(_stopped, silent=True),
    "slow": Loss(_slow, silent=True, only_relayed=True),
}
SHORT = tuple(LOSSES)[:3]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The long form has all ways; the short one those that differ most."""
    is_long = metafunc.config.getoption("--chaos", "short") == "long"
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", LOSSES if is_long else SHORT)


def test_new_calls_are_turned_away_and_open_ones_finish(
    outages: Scene, figures, seconds: float, way: str
):
    loss, scene = LOSSES[way], outages
    hit = (scene.relayed,) if loss.only_relayed else scene.gateways
    spooled = [len(gateway.log("ledger.spooled")) for gateway in hit]
    asks = [gateway.ask(model) for gateway in hit for model in (PLAIN, KEPT)]
    with ThreadPoolExecutor() as pool, ExitStack() as outage, probing(asks) as probe:
        probe.mark("before")
        time.sleep(0.5)
        open_calls = _open_calls(scene, hit, pool)
        began = probe.mark("outage")
        outage.enter_context(loss.lost(scene))
        time.sleep(0.2)
        assert all(gateway.lives() for gateway in hit)
        states = [gateway.ready() for gateway in hit]
        known = time.monotonic() - began
        time.sleep(max(0.0, max(seconds, LANE_SECONDS * 1.6 * loss.silent) - known))
        finished = [one.result(30) for one in open_calls]
        assert all(gateway.lives() for gateway in hit)
        ended = probe.mark("end")
        outage.close()
        restored = time.monotonic()
        wait_until(
            lambda: all(_served_since(probe.told, restored, one.port) for one in hit),
            HEAL_SECONDS,
            "calls on all processes",
        )
        healed = time.monotonic() - ended
        for gateway in hit:
            gateway.wait_until_ready("ready", HEAL_SECONDS)
        scene.settle()
    during = probe.between("outage", "end")
    refused = [told for told in during if told.status != 200]
    late = [told for told in refused if told.seconds > AT_ONCE_SECONDS]
    told = [*probe.told, *finished]
    now = [len(gateway.log("ledger.spooled")) for gateway in hit]
    result = scene.audit(told)
    figures(
        f"PostgreSQL {way}",
        {
            "before": summary(probe.between("before", "outage")),
            "during": summary(during),
            "turned away after 300 ms": f"{len(late)} of {len(refused)}",
            "open calls finished in": summary(finished),
            "posted from the spool": sum(now) - sum(spooled),
            "readyz tells of it after": f"{known:.2f} s",
            "calls again after": f"{healed:.2f} s",
            "abandoned": result.abandoned,
            "calls on the ledger": result.calls,
        },
    )
    assert [told.status for told in finished] == [200] * len(finished)
    assert all(told.whole for told in finished)
    assert states == [loss.ready] * len(hit)
    assert refused
    assert {told.code for told in refused} == {UNAVAILABLE}
    assert all(int(told.retry_after) >= 1 for told in refused)
    longest = (LANE_SECONDS + 2.0) * loss.silent + NOISE_SECONDS
    assert quantile(refused, 1.0) < longest
    assert quantile(finished, 1.0) < 1.6 + longest
    # Once a process knows, only those wait that ask again for all.
    aware = [one for one in refused if one.at > began + LANE_SECONDS * loss.silent + 0.5]
    assert quantile(aware, 0.9) < AT_ONCE_SECONDS
    assert result.abandoned == 0


def _open_calls(
    scene: Scene, gateways: Sequence[Gateway], pool: ThreadPoolExecutor
) -> list[Future[Told]]:
    """Begin a JSON call and a stream at each process, which the provider answers soon."""
    asks = [gateway.ask(LONG, stream=stream) for gateway in gateways for stream in (False, True)]
    made = [pool.submit(call, ask) for ask in asks]
    wait_until(lambda: scene.upstream.in_flight >= len(asks), 10, "open calls")
    return made


def _served_since(told: Sequence[Told], moment: float, port: int) -> bool:
    return any(
        one.at >= moment and one.status == 200 and one.ask.port == port for one in list(told)
    )
