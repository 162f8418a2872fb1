"""Processes that are killed, stopped and woken, a database that crashes: nothing is lost or free.

What the provider served and the gateway could not count stands at its bound as `abandoned`; all
else is exact, and nothing stays reserved.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from bench.processes import wait_until
from tests.chaos.books import Audit, audit
from tests.chaos.callers import Callers, Load
from tests.chaos.gateway import BEAT_SECONDS, PATIENCE_SECONDS, Installation, Web
from tests.chaos.restartable_postgres import Server
from tests.chaos.tables import table
from tests.chaos.upstream import QUICK, SLOW, SLOWEST
from tests.chaos.watcher import Watch, watching

SETTLE_SECONDS = 30.0
PRODUCT_PATIENCE_SECONDS = 38.0
"""30 s of silence, and 8 s under watch."""


def _load(web: Web, key: str, **more: object) -> Load:
    plan: dict[str, object] = {
        "ports": [web.port],
        "key": key,
        "models": [QUICK, SLOW],
        "calls": 1_000_000,
        "parallel": 24,
    }
    return Load(**(plan | more))  # type: ignore[arg-type]


def _close(
    installation: Installation,
    callers: Callers,
    watch: Watch,
    figures: Callable[[str, dict[str, object]], None],
    title: str,
    *,
    settle_seconds: float = SETTLE_SECONDS,
    **more: object,
) -> Audit:
    """End the load, wait for the books to close, and look at them."""
    callers.stop()
    seen = callers.join()
    installation.wait_until_settled(settle_seconds)
    result = audit(installation.url, installation.upstream.journal(), seen, installation.price)
    figures(title, table(callers, result, watch, more))
    result.complain()
    assert not watch.wrong, watch.wrong[:10]
    assert callers.statuses["ok"] > 20
    installation.verify()
    return result


def _kill_one(installation: Installation) -> None:
    """Kill a web process that has calls under way."""
    with suppress(ProcessLookupError):
        os.kill(installation.wait_for_holder(2), signal.SIGKILL)


def test_web_processes_are_killed_every_second_while_callers_hang_up(
    installation, figures, is_long
):
    key = installation.key("killed", 40_000_000 if is_long else 6_000_000)
    kills = 40 if is_long else 3
    with (
        installation.cron(),
        installation.web(3) as web,
        watching(installation.url) as watch,
    ):
        callers = Callers(_load(web, key.key, hangups=0.15, models=[QUICK, SLOW, SLOWEST])).start()
        for _ in range(kills):
            time.sleep(1.0)
            _kill_one(installation)
        wait_until(_serves(callers, 20), 40, "good answers after the last death")
        result = _close(installation, callers, watch, figures, "killed every second", killed=kills)
    assert result.abandoned


def test_a_process_that_was_stopped_past_the_sweepers_patience_corrects_what_was_posted(
    installation, figures, is_long
):
    patience = 0.0 if is_long else PATIENCE_SECONDS
    silence = PRODUCT_PATIENCE_SECONDS if is_long else PATIENCE_SECONDS * 4 / 3
    beat = 0.0 if is_long else BEAT_SECONDS  # Zero is the product's own.
    key = installation.key("stopped", 60_000_000 if is_long else 8_000_000)
    with (
        installation.cron(patience),
        installation.web(1, beat=beat) as web,
        installation.web(1, beat=beat) as other,
        watching(installation.url) as watch,
    ):
        load = _load(web, key.key, models=[QUICK, SLOW, SLOWEST], ports=[web.port, other.port])
        callers = Callers(load).start()
        victim = installation.wait_for_holder(3, web.pids())
        os.kill(victim, signal.SIGSTOP)
        try:
            wait_until(_serves(callers, 20), 40, "good answers of the other process")
            callers.stop()
            wait_until(
                lambda: installation.reserved() == 0, silence + 40, "the sweep", poll_seconds=0.1
            )
        finally:
            os.kill(victim, signal.SIGCONT)
        result = _close(
            installation, callers, watch, figures, "stopped past the sweeper's patience"
        )
    assert result.corrected
    # It has woken and corrected every one of its calls: the books are exact again.
    assert (result.abandoned, result.bill) == (0, result.ledger)


def test_a_database_that_crashes_loses_nothing_nor_does_a_spool_whose_owner_died(
    installation, server: Server, figures, is_long
):
    key = installation.key("crashed", 60_000_000 if is_long else 8_000_000)
    crashes = 4 if is_long else 1
    with installation.cron(), watching(installation.url) as watch:
        with installation.web(2) as web:
            callers = Callers(_load(web, key.key, models=[QUICK, SLOW, SLOWEST])).start()
            for _ in range(crashes):
                _crash(installation, server)
                server.start()
                wait_until(_serves(callers, 20), 40, "good answers after the crash")
            _crash(installation, server)
            callers.stop()
            callers.join()
        # All web processes are dead now, and what they counted is in files only.
        spools = [path for path in installation.spooled() if any(path.read_bytes()[:8])]
        server.start()
        result = _close(
            installation,
            callers,
            watch,
            figures,
            "PostgreSQL crashed",
            crashes=crashes + 1,
            spools=len(spools),
        )
    assert callers.statuses["ledger_unavailable"]
    assert spools
    assert installation.spooled() == []
    # Only what was admitted in the moment of the crash, and never sent, stands at its bound.
    assert result.at_bound == 0
    assert result.abandoned <= result.unheard
    assert result.bill == result.ledger - result.abandoned_nano


def _crash(installation: Installation, server: Server) -> None:
    """Crash the database while calls are open, and let them come to their ends meanwhile."""
    installation.wait_for_holder(4)
    server.crash()
    wait_until(lambda: installation.upstream.in_flight == 0, 10, "the provider's last answer")


def _serves(callers: Callers, calls: int = 1) -> Callable[[], bool]:
    """Whether there were so many more good answers."""
    before = callers.statuses["ok"]
    return lambda: callers.statuses["ok"] >= before + calls
