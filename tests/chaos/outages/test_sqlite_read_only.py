"""An SQLite file that takes no writes: posts wait in the spool, and admissions are turned away.

Inside one process: the administrator's account is not stopped by permissions, and a file that is
open for writing stays so, whatever is done to its folder. SQLite's own switch has the same error.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ledger.books import Books, settlement
from tests.support import databases
from torana.core.ids import new_id
from torana.db.session import open_sqlite
from torana.errors import LedgerUnavailable
from torana.ledger import sqlite_lane
from torana.ledger.open_lane import open_lane
from torana.ledger.spool import Spool
from torana.ledger.teller import NO_OBSERVER, Teller

AT_ONCE_SECONDS = 0.3
HEAL_SECONDS = 10.0


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A key on an SQLite file, whose teller has a spool."""
    with databases.sqlite_url(tmp_path) as url, databases.migrated(url) as database:
        owner = new_id("own")
        spool = Spool(tmp_path / "spool", owner)
        with Books(database) as made:
            made.teller.close()
            made.teller = Teller(open_lane(database, owner), NO_OBSERVER, spool=spool)
            yield made
        spool.close()


def test_a_file_that_takes_no_writes_loses_no_post(
    books: Books, monkeypatch: pytest.MonkeyPatch, figures: Any
):
    receipts = [books.admit(100) for _ in range(3)]
    books.teller.close()  # The next batch opens the file anew.
    with monkeypatch.context() as lost:
        lost.setattr(sqlite_lane, "open_sqlite", _read_only)
        refused = [_refused(books) for _ in range(5)]
        for receipt in receipts:
            books.teller.post(receipt, settlement(60))
    began = time.monotonic()
    while not _replayed(books):
        assert time.monotonic() < began + HEAL_SECONDS, "the posts are not replayed"
        time.sleep(0.02)
    healed = time.monotonic() - began
    figures(
        "SQLite read-only",
        {"turned away within": f"{max(refused):.3f} s", "healed after": f"{healed:.2f} s"},
    )
    assert max(refused) < AT_ONCE_SECONDS
    assert books.figures() == (180, 0, 0)
    assert books.differences() == []


def _read_only(path: Path) -> sqlite3.Connection:
    connection = open_sqlite(path)
    connection.execute("PRAGMA query_only=ON").close()
    return connection


def _refused(books: Books) -> float:
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable) as caught:
        books.admit(100)
    assert caught.value.retry_after is not None
    return time.monotonic() - began


def _replayed(books: Books) -> bool:
    try:
        return books.teller.replay() == 3
    except LedgerUnavailable:
        return False
