"""`torana cron`: what must be done now and then, beside the calls.

It posts the calls of processes that have fallen silent, replays spools that lost theirs, makes the
ledger's partitions and forgets what has expired. Every piece of work may be done by several crons
at once: starting it twice is safe.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading

import setproctitle
from sqlalchemy import delete, select, tuple_

from torana.core.ids import new_id
from torana.db import partitions
from torana.db.models import IdempotentCall, StoredResponse
from torana.db.session import Database
from torana.errors import ConfigurationError, ToranaError
from torana.ledger.locking import database_now
from torana.ledger.open_lane import open_lane
from torana.ledger.owners import BEAT_SECONDS, OwnerHeartbeat
from torana.ledger.sweeper import PERIOD_SECONDS, Sweeper
from torana.ledger.teller import NO_OBSERVER, Teller, replay_orphans
from torana.loops import Loop
from torana.obs import logs
from torana.processes.stopping import StopRequest
from torana.settings import Settings, load_settings

logger = logging.getLogger("torana.cron")

_ORPHAN_SECONDS = 2.0
_EXPIRY_SECONDS = 600.0
_PARTITION_SECONDS = 3600.0
_PATIENCE_SECONDS = 30.0
_PAGE = 500


class Cron:
    """The work, each piece with a `Loop` of its own."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.resolved_database_url, patience=_PATIENCE_SECONDS)
        self._owner = OwnerHeartbeat(self._database, owner_id=new_id("own"), kind="cron")
        self._teller = Teller(open_lane(self._database, self._owner.owner_id), NO_OBSERVER)
        self._spool_dir = settings.spool_dir
        sweeper = Sweeper(self._database, self._teller)
        self.loops = (
            Loop("heartbeat", self._owner.beat, seconds=BEAT_SECONDS),
            Loop("sweeper", sweeper.run_once, seconds=PERIOD_SECONDS),
            Loop("orphans", self.replay_orphans, seconds=_ORPHAN_SECONDS),
            Loop("partitions", self.make_partitions, seconds=_PARTITION_SECONDS),
            Loop("expiry", self.forget_expired, seconds=_EXPIRY_SECONDS),
        )

    def run(self, stop: StopRequest) -> None:
        """Work until asked to stop."""
        stopping = threading.Event()
        for loop in self.loops:
            loop.run_once()
            loop.start(stopping)
        while not stop.wait(3600.0):
            pass
        stopping.set()
        with contextlib.suppress(ToranaError):  # It only grows old in the table then.
            self._owner.leave()

    def close(self) -> None:
        """Close the connections; nothing of it may be running any more."""
        self._teller.close()
        self._database.dispose()

    def replay_orphans(self) -> int:
        """Post what processes of this host have left in their spools."""
        return replay_orphans(self._spool_dir, self._teller)

    def make_partitions(self) -> list[str]:
        """Make the ledger's partitions for the months to come."""
        made = partitions.ensure(self._database)
        for name in made:
            logger.info("ledger.partition_made", extra={"partition": name})
        return made

    def forget_expired(self) -> None:
        """Take away the stored answers whose day is over, and responses whose life is."""
        with self._database.write() as session:
            now = database_now(session)
            session.execute(delete(IdempotentCall).where(IdempotentCall.expires_at <= now))
        while self._forget_responses() == _PAGE:
            pass

    def _forget_responses(self) -> int:
        """Take away a page of responses: on SQLite a long transaction would keep calls waiting."""
        row = (StoredResponse.project_id, StoredResponse.id)
        with self._database.write() as session:
            expired = StoredResponse.expires_at <= database_now(session)
            found = session.execute(select(*row).where(expired).limit(_PAGE)).all()
            if found:
                session.execute(delete(StoredResponse).where(tuple_(*row).in_(found), expired))
        return len(found)


def check(settings: Settings) -> None:
    """Refuse to start what could not work.

    Raises:
        ConfigurationError: a secret is missing.
    """
    if not settings.secret_keys:
        raise ConfigurationError(
            "TORANA_SECRET_KEYS is not set, and `torana cron` does not start without it.",
            hint="Give it the same as `torana serve`.",
        )


def main() -> None:
    """Work; the entry of `python -m torana.cron`."""
    setproctitle.setproctitle("torana: cron")
    try:
        settings = load_settings()
        check(settings)
        cron = Cron(settings)
    except ConfigurationError as error:
        sys.exit(f"torana: {error.public_message}")
    logs.configure(settings, "cron")
    stop = StopRequest()
    with stop.on_signals():
        logger.info("cron.started")
        cron.run(stop)
        logger.info("cron.stopped")


if __name__ == "__main__":
    main()
