"""A provider is down: the breaker, the fallback, and a shutdown in the middle of one."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import psycopg

from bench.processes import wait_until
from tests.chaos.outages.gateways import timed
from tests.chaos.outages.probe import call, quantile, summary
from tests.chaos.outages.scene import LONG, RESILIENT, Scene

NOISE_SECONDS = 1.0
PATIENCE_SECONDS = 3.0
"""Of callers; the breaker is open for longer than that."""
STOP_SECONDS = 20.0


def test_a_fallback_answers_and_the_breaker_spares_the_dead(outages: Scene, figures):
    scene, gateway = outages, outages.direct
    first = [call(gateway.ask(RESILIENT, stream=number % 2 == 1)) for number in range(6)]
    opened = gateway.target_state("down", "quick")
    shared = timed(
        lambda: scene.relayed.target_state("down", "quick") != "closed", 5, "the news of it"
    )
    later = [call(gateway.ask(RESILIENT)) for _ in range(6)]
    alone = [call(gateway.ask("down/other", patience=PATIENCE_SECONDS)) for _ in range(4)]
    figures(
        "a provider is down",
        {
            "until the breaker opens": summary(first),
            "another process knows after": f"{shared:.2f} s",
            "then": summary(later),
            "without a fallback": summary(alone),
        },
    )
    assert {told.status for told in [*first, *later]} == {200}
    assert all(told.whole for told in [*first, *later])
    assert quantile([*first, *later], 1.0) < NOISE_SECONDS
    assert opened in {"open", "half_open"}
    assert {told.code for told in alone} == {"upstream_unreachable", "no_target_available"}
    assert all(told.retry_after for told in alone if told.status == 503)
    assert quantile(alone, 1.0) < PATIENCE_SECONDS + NOISE_SECONDS
    scene.audit([*first, *later, *alone])


def test_a_fallback_under_way_is_finished_and_posted_by_a_process_that_stops(
    outages: Scene, figures
):
    scene = outages
    with scene.another("stopping") as gateway, ThreadPoolExecutor() as pool:
        asks = [gateway.ask(f"{RESILIENT}-{LONG}", stream=stream) for stream in (False, True)]
        calls = [pool.submit(call, ask) for ask in asks]
        wait_until(lambda: scene.upstream.in_flight == len(asks), 10, "the fallbacks")
        gateway.web.process.send_signal(signal.SIGTERM)
        told = [one.result(30) for one in calls]
        stopped = timed(
            lambda: gateway.web.process.poll() is not None, STOP_SECONDS, "the end of the server"
        )
    result = scene.audit(told)
    figures("a stop in a fallback", {"answers": summary(told), "ended after": f"{stopped:.2f} s"})
    assert [one.status for one in told] == [200, 200]
    assert all(one.whole for one in told)
    assert result.abandoned == 0
    ids = [one.request_id for one in told]
    with psycopg.connect(scene.url) as connection:
        rows = connection.execute(
            "SELECT provider, status, counted, attempts FROM ledger_entries "
            "WHERE call_id = ANY(%s)",
            (ids,),
        ).fetchall()
    assert [row[:3] for row in rows] == [("openai", "ok", "provider")] * 2
    for row in rows:
        assert [attempt["provider"] for attempt in row[3]] == ["down", "openai"]
