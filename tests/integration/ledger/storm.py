"""Many calls at once against few balances: what must hold, under threads and under greenlets.

`test_storm.py` runs each check under threads; `under_gevent.py` runs them all in a process that
gevent has patched, as production is.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import psycopg

from tests.integration.ledger.books import Books, admitted, settlement
from torana.db.session import Database
from torana.errors import BudgetExceeded, BudgetReserved, LedgerUnavailable
from torana.ledger.teller import Teller

WORKERS = 32
SECONDS = 30.0
BOUND = 1000


@dataclass
class Tally:
    """What the workers of a storm have seen, each adding its own."""

    costs: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Admissions whose outcome nobody told: the database was away."""
    errors: list[BaseException] = field(default_factory=list)


def storm(
    books: Books, tellers: Sequence[Teller], *, workers: int = WORKERS, calls: int | None = None
) -> Tally:
    """Let workers call until the budget is final for each, or each has made its calls."""
    tally = Tally()
    deadline = time.monotonic() + SECONDS

    def work(number: int) -> None:
        teller = tellers[number % len(tellers)]
        chance = random.Random(number)
        made = 0
        while calls is None or made < calls:
            assert time.monotonic() < deadline, "the storm does not end"
            record = books.record()
            try:
                receipt = admitted(teller, record, BOUND)
            except BudgetReserved:
                tally.refused.append(record.call_id)
                time.sleep(0.002)
                continue
            except BudgetExceeded:
                tally.refused.append(record.call_id)
                return
            except LedgerUnavailable:
                tally.unknown.append(record.call_id)
                time.sleep(0.01)
                continue
            made += 1
            cost = chance.randint(1, BOUND)
            teller.post(receipt, settlement(cost))
            tally.costs.append(cost)

    run_all([partial(work, number) for number in range(workers)], tally)
    return tally


def run_all(works: Sequence[Callable[[], None]], tally: Tally) -> None:
    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- told to the thread that waits
            tally.errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a worker hangs"
    if tally.errors:
        raise tally.errors[0]


@contextmanager
def meanwhile(work: Callable[[], None], every: float):
    """Do something again and again while the block runs; what fails there fails here."""
    stop = threading.Event()
    failures: list[BaseException] = []
    rounds = [0]

    def repeat() -> None:
        while not stop.wait(every):
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- told to the thread that waits
                failures.append(error)
                return
            rounds[0] += 1

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join(SECONDS)
    if failures:
        raise failures[0]


def check_one_small_budget_is_never_overspent_and_used_to_the_end(database: Database) -> None:
    limit = 150 * BOUND
    with Books(database) as books:
        books.limit(limit)

        def look() -> None:
            spent, reserved, _ = books.figures()
            assert spent + reserved <= limit, f"{spent} + {reserved} > {limit}"

        with meanwhile(look, every=0.01) as looks:
            tally = storm(books, [books.teller])
    assert looks[0] > 0
    spent, reserved, open_calls = books.figures()
    assert (spent, reserved, open_calls) == (sum(tally.costs), 0, 0)
    assert books.total() == (len(tally.costs), sum(tally.costs))
    assert books.reservations() == []
    assert limit - BOUND < spent <= limit
    assert books.differences() == []


def check_batches_are_formed(database: Database) -> None:
    with Books(database) as books:
        tally = storm(books, [books.teller], calls=10)
    sizes = books.batches.sizes
    assert sum(sizes) == books.batches.waits == 2 * len(tally.costs) == 2 * WORKERS * 10
    assert max(sizes) > 1
    # Far fewer transactions than jobs: that is what makes it cheap.
    assert len(sizes) < sum(sizes) / 2


def check_several_tellers_share_one_budget(database: Database) -> None:
    limit = 80 * BOUND
    with Books(database) as books:
        books.limit(limit)
        others = [books.another_teller() for _ in range(3)]
        try:
            tally = storm(books, [books.teller, *others])
        finally:
            for teller in others:
                teller.close()
    assert books.figures() == (sum(tally.costs), 0, 0)
    assert limit - BOUND < sum(tally.costs) <= limit
    assert books.differences() == []


def check_calls_of_different_keys_do_not_lock_each_other_out(database: Database) -> None:
    limit = 15 * BOUND
    tallies = {}
    with ExitStack() as stack:
        shared = [stack.enter_context(Books(database)) for _ in range(6)]

        def drive(books: Books) -> None:
            tallies[books.key_id] = storm(books, [books.teller], workers=6)

        for books in shared:
            books.limit(limit)
        run_all([partial(drive, books) for books in shared], Tally())
    for books in shared:
        spent = sum(tallies[books.key_id].costs)
        assert books.figures() == (spent, 0, 0)
        assert limit - BOUND < spent <= limit
    assert shared[0].differences() == []


def check_the_books_are_right_at_every_moment(database: Database) -> None:
    with Books(database) as books:

        def look() -> None:
            assert books.differences() == []

        with meanwhile(look, every=0.005) as looks:
            storm(books, [books.teller], calls=12)
    assert looks[0] > 0


def check_connections_that_are_killed_lose_nothing(database: Database) -> None:
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with Books(database) as books, psycopg.connect(url, autocommit=True) as admin:

        def kill() -> None:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'torana-teller' AND datname = current_database()"
            )

        with meanwhile(kill, every=0.2) as kills:
            tallies = [storm(books, [books.teller], workers=16, calls=80)]
            while kills[0] < 3:  # However quick this machine is.
                tallies.append(storm(books, [books.teller], workers=16, calls=80))
    costs = [cost for tally in tallies for cost in tally.costs]
    assert len(costs) == len(tallies) * 16 * 80
    assert books.total() == (len(costs), sum(costs))
    assert books.figures()[0] == sum(costs)
    assert books.differences() == []
    # Of an admission whose connection broke twice nobody knows; its caller was told so.
    unknown = {call_id for tally in tallies for call_id in tally.unknown}
    assert {row.call_id for row in books.reservations()} <= unknown


CHECKS: dict[str, Callable[[Database], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_one_small_budget_is_never_overspent_and_used_to_the_end,
        check_batches_are_formed,
        check_several_tellers_share_one_budget,
        check_calls_of_different_keys_do_not_lock_each_other_out,
        check_the_books_are_right_at_every_moment,
    )
}
ON_POSTGRES: dict[str, Callable[[Database], None]] = {
    "connections_that_are_killed_lose_nothing": check_connections_that_are_killed_lose_nothing
}
