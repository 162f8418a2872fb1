"""All checks of `storm.py`, and those of greenlets, in a process that gevent has patched.

`python -m tests.integration.ledger.under_gevent DATABASE_URL` prints a JSON object: for each check
an empty text, or how it failed.
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 -- gevent patches first
import json
import sys
import time
import traceback
from collections.abc import Callable

import gevent
from sqlalchemy import update

from tests.integration.ledger import storm
from tests.integration.ledger.books import Books, settlement
from torana.db.models import Balance
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.offload import is_gevent


def check_a_greenlet_that_is_killed_while_it_waits_stops_nobody(database: Database) -> None:
    with Books(database) as books:

        def call() -> None:
            books.teller.post(books.admit(10), settlement(5))

        # Many of these are killed in the middle of a wait, some of them as the next to lead.
        for number in range(12):
            greenlets = [gevent.spawn(call) for _ in range(8)]
            gevent.sleep((0.001, 0.003, 0.01, 0.02)[number % 4])
            gevent.killall(greenlets[::2])
            gevent.joinall(greenlets, timeout=3)
            assert all(greenlet.dead for greenlet in greenlets), "the others wait for ever"
        with gevent.Timeout(5):
            while not answers(call):
                gevent.sleep(0.05)
        assert books.differences() == []


def answers(call: Callable[[], None]) -> bool:
    """Whether a call goes through; one that is refused at once after a failed batch may not."""
    try:
        call()
    except LedgerUnavailable:
        return False
    return True


def check_other_greenlets_go_on_while_the_database_is_waited_for(database: Database) -> None:
    with Books(database) as books:
        with database.write() as session:
            # The rows are held, so an admission must wait.
            session.execute(update(Balance).values(limit_nano=None))
            waiting = gevent.spawn(books.admit, 10)
            began = time.monotonic()
            for _ in range(20):
                gevent.sleep(0.01)
            assert time.monotonic() - began < 2.0, "the hub stood still"
            assert not waiting.dead
        waiting.join(5)
        books.teller.post(waiting.get(block=False), settlement(5))


OF_GREENLETS: dict[str, Callable[[Database], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_a_greenlet_that_is_killed_while_it_waits_stops_nobody,
        check_other_greenlets_go_on_while_the_database_is_waited_for,
    )
}


def main() -> None:
    assert is_gevent()
    url = sys.argv[1]
    checks = storm.CHECKS | OF_GREENLETS
    if url.startswith("postgresql"):
        checks = checks | storm.ON_POSTGRES
    results = {}
    for name, check in checks.items():
        database = Database(url)
        try:
            with gevent.Timeout(storm.SECONDS):
                check(database)
            results[name] = ""
        except BaseException:  # noqa: BLE001 -- the test that reads this fails with it
            results[name] = traceback.format_exc()
        finally:
            database.dispose()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
