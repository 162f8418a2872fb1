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
from tests.chaos.outages.gateways import Gateway
from tests.chaos.outages.probe import Probe, Told, call, probing, quantile, summary
from tests.chaos.outages.scene import KEPT, LONG, PLAIN, Scene, postgres_stopped
from torana.admin.keys import create_key

AT_ONCE_SECONDS = 0.3
"""Within which a new call is turned away, once a process knows that the database is away."""
SILENT_SECONDS = 3.0 + 2.0
"""What the calls wait that find out that it is silent: for an answer, and for a new connection."""
SLOW_SECONDS = 2.0 + SILENT_SECONDS
"""An answer comes after 2 s, the next one does not."""
AWARE_SECONDS = 2.0
"""What is seen at least of a process that knows."""
STRANGERS = 10
LOOK_UP_SECONDS = 9.0
"""What the first calls with keys wait that were not seen within a minute: for a place in the pool,
for an answer, and for a new connection."""
NOISE_SECONDS = 1.0
HEAL_SECONDS = 20.0
LONG_SECONDS = 1.6
"""What the provider takes for an open call."""
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
        unknown_seconds: for so long a process may not know it, because nobody says so.
        only_relayed: only the process behind the relays notices.
    """

    lost: Callable[[Scene], AbstractContextManager[None]]
    unknown_seconds: float = 0.0
    only_relayed: bool = False


LOSSES = {
    "killed": Loss(_killed),
    "read-only": Loss(_read_only),
    "stopped with Redis": Loss(_with_redis, unknown_seconds=SILENT_SECONDS),
    "stopped": Loss(_stopped, unknown_seconds=SILENT_SECONDS),
    "slow": Loss(_slow, unknown_seconds=SLOW_SECONDS, only_relayed=True),
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
    loss = LOSSES[way]
    seen = _lose(outages, loss, seconds, way)
    told = [*seen.probe.told, *seen.finished, *seen.strangers, *seen.again]
    result = outages.audit(told)
    figures(f"PostgreSQL {way}", seen.table() | {"abandoned": result.abandoned})
    refused, longest = seen.refused(), loss.unknown_seconds + NOISE_SECONDS
    assert [(one.status, one.whole) for one in seen.finished] == [(200, True)] * len(seen.finished)
    assert set(seen.states) == {"unavailable"}
    assert refused
    assert {one.code for one in (*refused, *seen.strangers, *seen.soon)} == {UNAVAILABLE}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert quantile(refused, 1.0) < longest
    assert quantile(seen.finished, 1.0) < LONG_SECONDS + longest
    assert quantile(seen.strangers, 1.0) < (LOOK_UP_SECONDS if loss.unknown_seconds else 1.0)
    # Once a process knows, only those wait that ask again for all.
    aware = [one for one in refused if one.at > seen.began + loss.unknown_seconds + 0.5]
    assert quantile(aware, 0.9) < AT_ONCE_SECONDS
    assert len(seen.soon) > STRANGERS / 2
    assert result.abandoned == 0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of an outage.

    Attributes:
        began: on `time.monotonic()`.
        states: what `/readyz` of each process said.
        known: seconds until the last of them said so.
        finished: the calls that were open when it began.
        strangers: calls with a key that was not seen lately, when nobody knew yet.
        again: the same later; `soon` are those that were answered within a second or so.
        healed, ready, settled: seconds from the return of the database to good calls on all
            processes, to their readiness, and to the last posting.
    """

    probe: Probe
    began: float
    states: list[str]
    known: float
    finished: list[Told]
    strangers: list[Told]
    again: list[Told]
    soon: list[Told]
    spooled: int
    healed: float
    ready: float
    settled: float

    def refused(self) -> list[Told]:
        """The calls of the outage that were not answered."""
        return [one for one in self.probe.between("outage", "end") if one.status != 200]

    def table(self) -> dict[str, object]:
        """The figures."""
        refused = self.refused()
        late = [one for one in refused if one.seconds > AT_ONCE_SECONDS]
        return {
            "before": summary(self.probe.between("before", "outage")),
            "during": summary(self.probe.between("outage", "end")),
            "turned away after 300 ms": f"{len(late)} of {len(refused)}",
            "with keys not seen lately": summary(self.strangers),
            "the same once more": f"{len(self.soon)} of {len(self.again)} at once",
            "open calls finished in": summary(self.finished),
            "posted from the spool": self.spooled,
            "readyz tells of it after": f"{self.known:.2f} s",
            "calls again after": f"{self.healed:.2f} s",
            "ready again after": f"{self.ready:.2f} s",
            "all is posted after": f"{self.settled:.2f} s",
        }


def _lose(scene: Scene, loss: Loss, seconds: float, way: str) -> Seen:
    """Lose the database with calls under way, and get it back."""
    hit = (scene.relayed,) if loss.only_relayed else scene.gateways
    spooled = sum(len(gateway.log("ledger.spooled")) for gateway in hit)
    # Nobody remembers this key, so the database is to be asked for it.
    key = create_key(scene.database, project="default", name=f"stranger-{way}").key
    strangers = [hit[-1].ask(PLAIN, key=key)] * STRANGERS
    asks = [gateway.ask(model) for gateway in hit for model in (PLAIN, KEPT)]
    with ThreadPoolExecutor(96) as pool, ExitStack() as outage, probing(asks) as probe:
        probe.mark("before")
        time.sleep(0.5)
        open_calls = _open_calls(scene, hit, pool)
        began = probe.mark("outage")
        outage.enter_context(loss.lost(scene))
        first = [pool.submit(call, ask) for ask in strangers]
        assert all(gateway.lives() for gateway in hit)
        states = list(pool.map(Gateway.ready, hit))
        known = time.monotonic() - began
        turned_away = [one.result(30) for one in first]
        again = [pool.submit(call, ask) for ask in strangers]
        passed = time.monotonic() - began
        time.sleep(max(1.0, max(seconds, loss.unknown_seconds + AWARE_SECONDS) - passed))
        soon = [one.result(0) for one in again if one.done()]
        finished = [one.result(30) for one in open_calls]
        assert all(gateway.lives() for gateway in hit)
        probe.mark("end")
        outage.close()
        restored = time.monotonic()
        wait_until(
            lambda: all(_served_since(probe.told, restored, one.port) for one in hit),
            HEAL_SECONDS,
            "calls on all processes",
        )
        healed = time.monotonic() - restored
        ready = max(gateway.wait_until_ready("ready", HEAL_SECONDS) for gateway in hit)
        scene.settle()
        settled = time.monotonic() - restored
    return Seen(
        probe=probe,
        began=began,
        states=states,
        known=known,
        finished=finished,
        strangers=turned_away,
        again=[one.result(0) for one in again],
        soon=soon,
        spooled=sum(len(gateway.log("ledger.spooled")) for gateway in hit) - spooled,
        healed=healed,
        ready=healed + ready,
        settled=settled,
    )


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
