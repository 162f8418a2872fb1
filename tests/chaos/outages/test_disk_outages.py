"""The disk of the spool and the logs is full: no call is admitted whose post could be lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bench.processes import wait_until
from tests.chaos.outages.gateways import timed
from tests.chaos.outages.probe import Told, call, quantile, summary
from tests.chaos.outages.scene import LONGEST, PLAIN, Scene

ROOM_CALLS = 64
"""For so many open calls a process has room from its first call on."""
MORE_CALLS = 16
CALM_CALLS = 30
NOISE_SECONDS = 1.0
AT_ONCE_SECONDS = 0.3
BLOCK = 4096
"""A file on a full disk has what is left of its last block."""


@pytest.fixture
def full(outages: Scene) -> Iterator[Scene]:
    """The scene; the disk of `direct` is full, and has room for some open calls."""
    disk = outages.direct.disk
    if disk is None:
        pytest.skip("this account may mount nothing")
    assert call(outages.direct.ask(PLAIN)).status == 200
    disk.fill()
    assert disk.free() == 0
    yield outages
    disk.make_room()


def test_what_is_admitted_is_posted_from_a_full_disk_while_the_database_is_away(
    full: Scene, figures
):
    gateway = full.direct
    spooled = len(gateway.log("ledger.spooled"))
    with ThreadPoolExecutor(ROOM_CALLS) as pool:
        open_calls = _open_calls(full, pool)
        refused = [call(gateway.ask(PLAIN)) for _ in range(MORE_CALLS)]
        full.postgres.crash()
        try:
            finished = [one.result(30) for one in open_calls]
            assert gateway.lives()
        finally:
            full.postgres.start()
    gateway.wait_until_ready("ready", 20)
    result = full.audit([*refused, *finished])
    posted = len(gateway.log("ledger.spooled")) - spooled
    figures(
        "the disk is full, and the database is away",
        {
            "beyond the room": summary(refused),
            "open calls": summary(finished),
            "posted from the spool": posted,
            "abandoned": result.abandoned,
        },
    )
    assert {(one.status, one.code) for one in refused} == {(503, "disk_full")}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert quantile(refused, 0.5) < AT_ONCE_SECONDS
    assert quantile(refused, 1.0) < NOISE_SECONDS
    assert [(one.status, one.whole) for one in finished] == [(200, True)] * ROOM_CALLS
    assert posted >= ROOM_CALLS
    assert result.abandoned == 0


def test_a_full_disk_stops_neither_calls_within_its_room_nor_the_log_and_heals(
    full: Scene, figures
):
    gateway, disk = full.direct, full.direct.disk
    assert disk is not None
    log = disk.path / "logs" / "torana.log"
    logged, settled = log.stat().st_size, len(gateway.log("call.settled"))
    calm = [call(gateway.ask(PLAIN)) for _ in range(CALM_CALLS)]
    wait_until(lambda: len(gateway.log("call.settled")) >= settled + CALM_CALLS, 10, "the log")
    unlogged = log.stat().st_size <= -(-logged // BLOCK) * BLOCK
    with ThreadPoolExecutor(ROOM_CALLS) as pool:
        open_calls = _open_calls(full, pool)
        refused = call(gateway.ask(PLAIN))
        disk.make_room()
        healed = timed(lambda: call(gateway.ask(PLAIN)).status == 200, 10, "a call")
        finished = [one.result(30) for one in open_calls]
    wait_until(lambda: log.stat().st_size > logged + BLOCK, 10, "lines in the log file")
    full.audit([*calm, refused, *finished])
    figures(
        "the disk is full",
        {
            "within the room": summary([*calm, *finished]),
            "beyond it": summary([refused]),
            "calls again after": f"{healed:.2f} s",
        },
    )
    assert {one.status for one in (*calm, *finished)} == {200}
    assert refused.code == "disk_full"
    assert unlogged
    assert healed < NOISE_SECONDS


def _open_calls(scene: Scene, pool: ThreadPoolExecutor) -> list[Future[Told]]:
    """Begin so many calls as there is room for."""
    asks = [scene.direct.ask(LONGEST, stream=number % 2 == 1) for number in range(ROOM_CALLS)]
    made = [pool.submit(call, ask) for ask in asks]
    wait_until(lambda: scene.upstream.in_flight == ROOM_CALLS, 10, "open calls")
    return made
