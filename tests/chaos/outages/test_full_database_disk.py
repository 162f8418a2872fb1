"""The disk of PostgreSQL is full: new calls are turned away, open ones are posted when it is not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.processes import wait_until
from tests.chaos import gateway, upstream
from tests.chaos.outages import confinement, scene, small_postgres
from tests.chaos.outages.gateways import timed
from tests.chaos.outages.probe import call, probing, quantile, summary
from tests.chaos.outages.scene import LONG, PLAIN

NOISE_SECONDS = 1.5
AT_ONCE_SECONDS = 0.3


def test_a_full_disk_of_the_database_loses_no_call(tmp_path, figures, is_long: bool):
    if not is_long:
        pytest.skip("a server of its own takes its time: it is in the long form")
    if not confinement.is_possible():
        pytest.skip("this account may mount nothing")
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith("pytest-"):
            parent.chmod(0o711)
    with small_postgres.started(tmp_path) as (server, disk), upstream.started(tmp_path) as provider:
        gateway.make_seed(server, tmp_path)
        scene.begin_books(provider)
        tablespace = small_postgres.TABLESPACE
        with scene.set_up(server, provider, tmp_path, tablespace=tablespace) as made:
            _fill_and_empty(made, disk, figures)


def _fill_and_empty(made: scene.Scene, disk: confinement.Disk, figures) -> None:
    front = made.direct
    with (
        ThreadPoolExecutor() as pool,
        probing([front.ask(PLAIN), front.ask(PLAIN, stream=True)], pause=0.02) as probe,
    ):
        time.sleep(0.5)
        asks = [front.ask(LONG, stream=stream) for stream in (False, True)] * 3
        open_calls = [pool.submit(call, ask) for ask in asks]
        wait_until(lambda: made.upstream.in_flight >= len(asks), 10, "open calls")
        probe.mark("full")
        disk.fill()
        try:
            # What is written at first has room in pages that are there.
            wait_until(
                lambda: sum(one.status == 503 for one in list(probe.told)) > 5, 60, "refusals"
            )
            finished = [one.result(30) for one in open_calls]
            assert front.lives()
            time.sleep(1.0)
            probe.mark("end")
        finally:
            disk.make_room()
        moment = time.monotonic()
        healed = timed(
            lambda: probe.answered_since(moment, lambda one: one.status == 200) > 0, 20, "a call"
        )
    during = probe.between("full", "end")
    refused = [one for one in during if one.status != 200]
    told = [*probe.told, *finished]
    result = made.audit(told)
    figures(
        "PostgreSQL's disk is full",
        {
            "during": summary(during),
            "open calls finished in": summary(finished),
            "posted from the spool": len(front.log("ledger.spooled")),
            "calls again after": f"{healed:.2f} s",
            "calls on the ledger": result.calls,
        },
    )
    assert {one.code for one in refused} == {"ledger_unavailable"}
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert quantile(refused, 0.5) < AT_ONCE_SECONDS
    assert quantile(refused, 1.0) < NOISE_SECONDS
    assert [(one.status, one.whole) for one in finished] == [(200, True)] * len(finished)
    assert all(one.whole for one in told if one.status == 200)
    assert result.abandoned == 0
