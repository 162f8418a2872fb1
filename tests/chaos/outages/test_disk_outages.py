"""The disk of the spool and the logs is full: no call is admitted whose post could be lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.processes import wait_until
from tests.chaos.outages.gateways import timed
from tests.chaos.outages.probe import call, quantile, summary
from tests.chaos.outages.scene import LONG, PLAIN, Scene

ROOM_CALLS = 64
"""For so many open calls a process has room from its first call on."""
MORE_CALLS = 16
NOISE_SECONDS = 1.0
AT_ONCE_SECONDS = 0.3
BLOCK = 4096
"""A file on a full disk has what is left of its last block."""


def test_what_is_admitted_is_posted_from_a_full_disk_while_the_database_is_away(
    outages: Scene, figures
):
    scene, gateway = outages, outages.direct
    disk = gateway.disk
    if disk is None:
        pytest.skip("this account may mount nothing")
    log = disk.path / "logs" / "torana.log"
    first = call(gateway.ask(PLAIN))
    spooled = len(gateway.log("ledger.spooled"))
    disk.fill()
    try:
        assert disk.free() == 0
        logged = log.stat().st_size
        with ThreadPoolExecutor(ROOM_CALLS + MORE_CALLS) as pool:
            asks = [gateway.ask(LONG, stream=number % 2 == 1) for number in range(ROOM_CALLS)]
            open_calls = [pool.submit(call, ask) for ask in asks]
            wait_until(lambda: scene.upstream.in_flight == ROOM_CALLS, 10, "open calls")
            refused = list(pool.map(call, [gateway.ask(PLAIN)] * MORE_CALLS))
            scene.postgres.crash()
            try:
                finished = [one.result(30) for one in open_calls]
                assert gateway.lives()
            finally:
                scene.postgres.start()
        gateway.wait_until_ready("ready", 20)
        scene.settle()
        # With room for open calls as before, the full disk disturbs nobody.
        calm = [call(gateway.ask(PLAIN)) for _ in range(5)]
        unlogged = log.stat().st_size <= -(-logged // BLOCK) * BLOCK
        with ThreadPoolExecutor(ROOM_CALLS + MORE_CALLS) as pool:
            asks = [gateway.ask(LONG) for _ in range(ROOM_CALLS)]
            open_calls = [pool.submit(call, ask) for ask in asks]
            wait_until(lambda: scene.upstream.in_flight == ROOM_CALLS, 10, "open calls again")
            assert call(gateway.ask(PLAIN)).code == "disk_full"
            disk.make_room()
            healed = timed(lambda: call(gateway.ask(PLAIN)).status == 200, 10, "a call")
            again = [one.result(30) for one in open_calls]
    finally:
        disk.make_room()
    wait_until(lambda: log.stat().st_size > logged, 10, "a line in the log")
    posted = len(gateway.log("ledger.spooled")) - spooled
    told = [first, *refused, *finished, *calm, *again]
    result = scene.audit(told)
    figures(
        "the spool's disk is full",
        {
            "beyond the room": summary(refused),
            "open, without a database": summary(finished),
            "posted from the spool": posted,
            "logs are lost meanwhile": unlogged,
            "calls again after": f"{healed:.2f} s",
            "calls on the ledger": result.calls,
        },
    )
    assert {(one.status, one.code) for one in refused} == {(503, "disk_full")}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert quantile(refused, 0.5) < AT_ONCE_SECONDS
    assert quantile(refused, 1.0) < NOISE_SECONDS
    assert [one.status for one in (*finished, *calm, *again)] == [200] * (2 * ROOM_CALLS + 5)
    assert all(one.whole for one in finished)
    assert posted == ROOM_CALLS
    assert unlogged
    assert result.abandoned == 0
