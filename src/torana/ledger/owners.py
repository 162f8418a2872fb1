"""The processes that hold reservations, and the sign of life that each gives.

The instant is the database's: two hosts with different clocks must not bury each other.
"""

from __future__ import annotations

import logging
import os
import socket
import threading

from sqlalchemy import delete, func, insert, update

from torana.core.clock import utc_now
from torana.db.models import Owner
from torana.db.session import Database
from torana.errors import ToranaError

logger = logging.getLogger("torana.ledger")

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
        # SQLite's clock is this host's own.
        now = utc_now() if self._database.is_sqlite else func.clock_timestamp()
        with self._database.write() as session:
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

    def run(self, stopping: threading.Event) -> None:
        """Beat until `stopping` is set."""
        while not stopping.wait(BEAT_SECONDS):
            self.run_once()

    def run_once(self) -> None:
        """Beat; a database that is away is logged, and the next beat tries again."""
        try:
            self.beat()
        except ToranaError as error:
            logger.warning("owner.silent", extra={"error_code": error.code})
        except Exception:
            # Whatever it is, a process that lives must go on saying so.
            logger.exception("owner.silent")
