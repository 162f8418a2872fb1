"""Budgets are made, changed and deleted while calls come and go: nothing locks up or is lost."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.integration.admin.till import NANO, Till, account, assert_exact
from torana.admin.budgets import (
    BudgetChange,
    create_budget,
    delete_budget,
    list_budgets,
    raise_budget,
    update_budget,
)
from torana.admin.limits import LimitsChange, set_limits
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import create_user
from torana.core.clock import utc_now
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger.terms import BudgetTerms

SECONDS = 3.0
JOIN_SECONDS = 60.0
PERIODS = [
    {"period": "day"},
    {"period": "month"},
    {"period": "total"},
    {"period": "week"},
    {"period": "interval", "interval_seconds": 60},
]


class Storm:
    """Threads that do something again and again until the time is up."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._threads: list[threading.Thread] = []
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []

    def blow(self, name: str, act: Callable[[], object]) -> None:
        def run() -> None:
            try:
                while time.monotonic() < self._until:
                    with suppress(LedgerUnavailable):  # Too busy: nothing was done.
                        act()
                        self.done[name] += 1
            except BaseException as error:  # noqa: BLE001 -- the test tells
                self.errors.append(error)

        self._threads.append(threading.Thread(target=run, name=name))

    def wait(self) -> None:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)
        assert self.errors == []


def deadlocks(database: Database) -> int:
    """How often PostgreSQL had to end a circle of transactions that waited for each other."""
    if database.is_sqlite:
        return 0
    database.dispose()  # A connection tells what it has counted at its end.
    with database.read() as session:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(session.scalar(text(query)) or 0)


def caller(till: Till, seed: int) -> Callable[[], None]:
    chance = random.Random(seed)
    open_calls: list[str] = []

    def call() -> None:
        if len(open_calls) > 5 or (open_calls and chance.random() < 0.5):
            till.post(open_calls.pop(0), chance.randrange(1000))
        else:
            open_calls.append(
                till.admit(
                    1000,
                    end_user=chance.choice(["alice", "bob", None]),
                    tags={"team": chance.choice(["red", "blue"])},
                )
            )

    return call


def editor(database: Database, refs: list[ScopeRef], seed: int) -> Callable[[], None]:
    chance = random.Random(seed)
    mine: list[str] = []

    def edit() -> None:
        if len(mine) < 2:
            terms = BudgetTerms(amount_nano=NANO, **chance.choice(PERIODS))  # type: ignore[arg-type]
            mine.append(create_budget(database, chance.choice(refs), terms).id)
            return
        budget = chance.choice(mine)
        what = chance.randrange(4)
        if what == 0:
            update_budget(database, budget, BudgetChange(amount_nano=chance.randrange(NANO)))
        elif what == 1:
            update_budget(database, budget, BudgetChange(**chance.choice(PERIODS)))  # type: ignore[arg-type]
        elif what == 2:
            until = utc_now() + timedelta(hours=1)
            raise_budget(database, budget, amount_nano=5, until=until)
        else:
            mine.remove(budget)
            delete_budget(database, budget)

    return edit


@pytest.mark.parametrize("seed", [1])
def test_edits_among_calls_lose_nothing(database, seed):
    create_user(database, email="ada@example.test", password="x" * 12, role="member")
    tills = [Till(database, owner_email="ada@example.test") for _ in range(3)]
    refs = [
        *(ScopeRef(kind="key", id=till.made.id) for till in tills),
        ScopeRef(kind="user", id="ada@example.test"),
        ScopeRef(kind="project", id="default"),
        ScopeRef(kind="organisation", id="default"),
        ScopeRef(kind="end_user", id="alice", project="default"),
        ScopeRef(kind="end_user", id="*", project="default"),
        ScopeRef(kind="tag", id="team=red"),
        ScopeRef(kind="tag", id="team=*"),
    ]
    storm = Storm(SECONDS)
    for number, till in enumerate(tills):
        storm.blow("calls", caller(till, seed + number))
    for number in range(3):
        storm.blow("edits", editor(database, refs, seed + 100 + number))
    storm.blow(
        "limits",
        lambda: set_limits(database, refs[0], LimitsChange(rpm=random.randrange(1, 100))),
    )
    storm.wait()
    assert deadlocks(database) == 0
    assert_exact(database)
    assert min(storm.done["calls"], storm.done["edits"]) > 3, storm.done
    for view in list_budgets(database):
        delete_budget(database, view.id)
    assert_exact(database)


def test_a_change_of_a_limit_keeps_the_windows_that_others_make(database):
    till = Till(database)
    ref = ScopeRef(kind="key", id=till.made.id)
    storm = Storm(1.5)
    storm.blow("limits", lambda: set_limits(database, ref, LimitsChange(tpm=5)))

    def make() -> None:
        view = create_budget(database, ref, BudgetTerms(amount_nano=1, period="day"))
        delete_budget(database, view.id)

    storm.blow("budgets", make)
    storm.wait()
    assert account(database, till.made.id).terms == {"tpm": 5}
