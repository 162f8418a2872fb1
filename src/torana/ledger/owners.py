"""The processes that hold reservations, and the sign of life that each gives.

The instant is the database's: two hosts with different clocks must not bury each other.
"""

from __future__ import annotations

import os
import socket

from sqlalchemy import delete, func, insert, select, update

from torana.db.models import Owner
from torana.db.session import Database
from torana.ledger.locking import database_now

BEAT_SECONDS = 5.0


class OwnerHeartbeat:
    """This process's row in `owners`.

    Args:
        database: where.
        owner_id: random for every process: a host's name and a pid come again.
        kind: which part of Torana this is.
    """

    def __init__(self, database: Database, *, owner_id: str, kind: str) -> None:
        self.owner_id = owner_id
        self._database = database
        self._kind = kind

    def beat(self) -> None:
        """Say that this process lives; the first time makes the row.

        Raises:
            LedgerUnavailable: the database is away.
        """
        with self._database.write() as session:
            now = database_now(session)
            beaten = session.execute(
                update(Owner).where(Owner.id == self.owner_id).values(heartbeat_at=now)
            )
            if beaten.rowcount:  # type: ignore[attr-defined]
                return
            session.execute(
                insert(Owner).values(
                    id=self.owner_id,
                    kind=self._kind,
                    host=socket.gethostname()[:200],
                    pid=os.getpid(),
                    started_at=now,
                    heartbeat_at=now,
                )
            )

    def leave(self) -> None:
        """Take the row away; only when nothing is reserved any more."""
        with self._database.write() as session:
            session.execute(delete(Owner).where(Owner.id == self.owner_id))


def seconds_since_beat(database: Database, kind: str) -> float | None:
    """How long ago a process of a kind has last beaten; None when there is none."""
    with database.read() as session:
        last = session.scalar(select(func.max(Owner.heartbeat_at)).where(Owner.kind == kind))
        return None if last is None else (database_now(session) - last).total_seconds()
