"""Looking at the balances all the time: a trigger sees every committed state, a poller one after
another, each in a snapshot of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger.reports.verify import Difference, verify

_TRIGGER = """
CREATE TABLE chaos_overspends (balance_id text, spent_nano bigint, reserved_nano bigint);
CREATE FUNCTION chaos_overspent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_overspends VALUES (NEW.id, NEW.spent_nano, NEW.reserved_nano);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_overspent AFTER INSERT OR UPDATE ON balances FOR EACH ROW
    WHEN (NEW.spent_nano + NEW.reserved_nano > NEW.limit_nano)
    EXECUTE FUNCTION chaos_overspent();
"""
"""The teller writes each balance once in a transaction, so a row's versions are what is committed.
"""
_LOOK = """
SELECT b.limit_nano, b.spent_nano + b.reserved_nano, b.reserved_nano, b.open_calls,
    coalesce(sum(r.bound_nano), 0), count(r.call_id)
FROM balances b LEFT JOIN reservations r ON r.balance_ids::jsonb @> to_jsonb(b.id::text)
GROUP BY b.id
"""
_POLL_SECONDS = 0.02
_VERIFY_SECONDS = 2.0


def install_trigger(url: str) -> None:
    """Let a database note every balance that is over its limit."""
    with psycopg.connect(url) as connection:
        connection.execute(_TRIGGER)


@dataclass
class Watch:
    """What was seen.

    Attributes:
        most: the most that was spent and reserved of a limit at one moment.
        limit: that limit.
        wrong: snapshots in which figures did not agree.
    """

    polls: int = 0
    verified: int = 0
    most: int = 0
    limit: int = 0
    wrong: list[str] = field(default_factory=list)

    def look(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Take one snapshot."""
        for limit, held, reserved, open_calls, bounds, calls in connection.execute(_LOOK):
            if (reserved, open_calls) != (bounds, calls):
                self.wrong.append(f"reserved {reserved}/{open_calls}, rows {bounds}/{calls}")
            if limit is None:
                continue
            if held >= self.most:
                self.most, self.limit = held, limit
            if held > limit:
                self.wrong.append(f"{held} of {limit}")
        self.polls += 1


@contextmanager
def watching(url: str) -> Iterator[Watch]:
    """Watch for the length of a `with` block; an outage of the database is waited out."""
    watch, stopping = Watch(), threading.Event()
    database = Database(url)

    def poll() -> None:
        verified_at = time.monotonic()
        while not stopping.is_set():
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
                    while not stopping.wait(_POLL_SECONDS):
                        watch.look(connection)
                        if time.monotonic() - verified_at > _VERIFY_SECONDS:
                            watch.wrong += map(str, differences(database))
                            watch.verified += 1
                            verified_at = time.monotonic()
            except (psycopg.OperationalError, DBAPIError, LedgerUnavailable):
                stopping.wait(0.1)

    thread = threading.Thread(target=poll, name="watcher", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stopping.set()
        thread.join(30)
        database.dispose()


def differences(database: Database) -> list[Difference]:
    """What `torana ledger verify` finds, in this process."""
    with database.read() as session:
        return verify(session)
