"""Many processes, many callers, one small budget: never over it, and exact to the nano-dollar.

All time comes from the database, so processes whose clocks are wrong by an hour agree too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import psycopg

from tests.chaos.books import Audit, Rows, audit, read
from tests.chaos.callers import Callers, Load, Seen
from tests.chaos.tables import table
from tests.chaos.upstream import QUICK, SLOW
from tests.chaos.watcher import watching
from torana.core.clock import microseconds
from torana.core.money import parse_usd
from torana.ledger.locking import database_now
from torana.ledger.terms import BudgetTerms

AVERAGE_NANO = 4_900
"""About what a call of the callers costs."""
HOUR = 3600
_TIMES = """
SELECT min(admitted_at) >= %s, max(posted_at) <= clock_timestamp(),
    (SELECT count(*) FROM balances WHERE budget_id <> '')
FROM ledger_entries
"""
_HELD = re.compile(r"([\d.]+) of ([\d.]+) USD are spent")
_NEEDED = re.compile(r"may cost up to ([\d.]+) USD")


def unfounded(seen: list[Seen], rows: Rows, limit: int) -> list[str]:
    """Refusals of calls that did fit, by what was true and what the caller was told."""
    spent = sum(entry.cost_nano for call in rows.calls.values() for entry in call)
    wrong = []
    for call in seen:
        if call.status != 429:
            continue
        held, needed = _HELD.search(call.message), _NEEDED.search(call.message)
        if held is None or needed is None or parse_usd(held[2]) != limit:
            wrong.append(call.message)
            continue
        used, bound = parse_usd(held[1]), parse_usd(needed[1])
        final = call.code == "insufficient_quota"
        # What is spent only grows: it must not fit even now.
        if used + bound <= limit or used > limit or (final and spent + bound <= limit):
            wrong.append(call.message)
    return wrong


def test_a_budget_is_kept_at_every_committed_state_by_processes_with_wrong_clocks(
    installation, figures, is_long
):
    calls = 20_000 if is_long else 800
    limit = round(calls * 0.6) * AVERAGE_NANO + 7
    with installation.database.read() as session:
        before = database_now(session)
    # An hour is enough to be in another window.
    terms = BudgetTerms(
        amount_nano=limit,
        period="interval",
        interval_seconds=HOUR,
        starts_at=microseconds(before - timedelta(seconds=HOUR / 6)),
    )
    key = installation.key("storm", terms)
    workers = 2 if is_long else 1
    with (
        installation.cron(),
        installation.web(workers, "--skew", str(HOUR)) as ahead,
        installation.web(workers, "--skew", str(-HOUR)) as behind,
    ):
        load = Load(
            ports=[ahead.port, behind.port],
            key=key.key,
            models=[QUICK, QUICK, SLOW],
            calls=calls,
            parallel=64 if is_long else 32,
        )
        with watching(installation.url) as watch:
            callers = Callers(load).start()
            seen = callers.join()
            seen += _use_the_rest(load)
            installation.wait_until_settled(20)
    result = audit(
        installation.url, installation.upstream.journal(), seen, installation.price, exact=True
    )
    figures("one small budget, JSON and streams", table(callers, result, watch))
    result.complain()
    assert not watch.wrong, watch.wrong[:10]
    assert watch.polls > 10
    assert unfounded(seen, read(installation.url), limit) == []
    _assert_was_worth_it(callers, result, limit)
    with psycopg.connect(installation.url) as connection:
        row = connection.execute(_TIMES, (before,)).fetchone()
    assert row == (True, True, 1)
    installation.verify(by_command=True)


def _use_the_rest(load: Load) -> list[Seen]:
    """One call after another: none is refused for the sake of open ones, so the budget is used up."""
    alone = replace(load, models=[QUICK], calls=400, parallel=1, seed=load.seed + 1)
    return Callers(alone).start().join()


def _assert_was_worth_it(callers: Callers, result: Audit, limit: int) -> None:
    statuses = callers.statuses
    assert set(statuses) <= {"ok", "insufficient_quota", "budget_reserved"}, statuses
    assert statuses["ok"] == result.calls == result.served
    assert statuses["insufficient_quota"] + statuses["budget_reserved"]
    # The budget was used up but for less than the dearest call's bound.
    assert limit - 30_000 < result.ledger <= limit


def test_four_processes_share_one_hot_budget(installation, figures, is_long):
    calls = 20_000 if is_long else 800
    limit = round(calls * 0.6) * AVERAGE_NANO + 1
    key = installation.key("hot", limit)
    with installation.web(4) as web:
        load = Load(ports=[web.port], key=key.key, models=[QUICK], calls=calls, parallel=64)
        with watching(installation.url) as watch:
            callers = Callers(load).start()
            seen = callers.join()
            seen += _use_the_rest(load)
            installation.wait_until_settled(20)
    result = audit(
        installation.url, installation.upstream.journal(), seen, installation.price, exact=True
    )
    figures("four processes, one hot budget", table(callers, result, watch))
    result.complain()
    assert not watch.wrong, watch.wrong[:10]
    _assert_was_worth_it(callers, result, limit)
