"""An SQLite file as a process beside the service sees it; SQLite can't be led there through /proc.

python -m tests.chaos.outages.sqlite_file lock FILE   hold the write lock until killed
python -m tests.chaos.outages.sqlite_file look FILE   tell what is in it
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any

from torana.db.session import Database
from torana.ledger.reports.verify import verify


def command(pid: int | None, verb: str, file: str) -> list[str]:
    """The command line that runs this module.

    Args:
        pid: whose files are meant; None for ours.
        verb: `lock` or `look`.
        file: as that process sees it.
    """
    before = [] if pid is None else ["nsenter", "--target", str(pid), "--mount", "--"]
    return [*before, sys.executable, "-m", "tests.chaos.outages.sqlite_file", verb, file]


def lock(file: str) -> None:
    """Take the write lock, say so, and keep it."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    _say("locked")
    signal.pause()


def look(file: str) -> dict[str, Any]:
    """Reservations, how many entries each call has, and what `torana ledger verify` finds."""
    connection = sqlite3.connect(file)
    try:
        reserved = connection.execute("SELECT count(*) FROM reservations").fetchone()[0]
        rows = connection.execute("SELECT call_id, count(*) FROM ledger_entries GROUP BY 1")
        entries = dict(rows.fetchall())
    finally:
        connection.close()
    database = Database(f"sqlite:///{file}")
    try:
        with database.read() as session:
            wrong = [str(difference) for difference in verify(session)]
    finally:
        database.dispose()
    return {"reserved": reserved, "entries": entries, "wrong": wrong}


def _say(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Do as the module's docstring says."""
    verb, file = arguments
    if verb == "lock":
        lock(file)
    else:
        _say(look(file))


if __name__ == "__main__":
    main(sys.argv[1:])
