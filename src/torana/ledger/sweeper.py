"""The sweeper: posts the calls of processes that have fallen silent, at their bound.

Conservative, visible, correctable: a process that was only stopped posts the difference when it
wakes. Any number of sweepers may run at once, because deleting a reservation is what posts a call.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import msgspec
from sqlalchemy import delete, or_, select

from torana.core.usage import NO_USAGE, Counted
from torana.db.models import Owner, Reservation
from torana.db.session import Database
from torana.errors import LedgerUnavailable, UnwritableRow
from torana.ledger.jobs import PostJob
from torana.ledger.locking import database_now
from torana.ledger.records import CallRecord, Receipt, Settlement, Status
from torana.ledger.teller import Teller

logger = logging.getLogger("torana.ledger")

PERIOD_SECONDS = 2.0
PATIENCE = timedelta(seconds=30)
"""How long an owner may be silent before its calls are posted in its stead."""
WATCH_SECONDS = 8.0
"""How long this sweeper must itself have seen the silence: after an outage of the database all
owners look silent, until their next beat."""
_PAGE = 200


class _Silent(msgspec.Struct, frozen=True):
    """An owner that reservations name, and how it was last heard of."""

    owner_id: str
    heard: str


class Sweeper:
    """Looks for silent owners.

    Args:
        database: where.
        teller: posts; its process must not be an owner of calls itself.
    """

    def __init__(self, database: Database, teller: Teller) -> None:
        self._database = database
        self._teller = teller
        self._seen: dict[_Silent, float] = {}

    def run_once(self) -> int:
        """Post what silent owners have left.

        Returns:
            How many calls were posted.

        Raises:
            LedgerUnavailable: the database is away; what was seen before counts no more.
        """
        try:
            silent = self._silent_owners()
            now = time.monotonic()
            self._seen = {owner: self._seen.get(owner, now) for owner in silent}
            swept = 0
            for owner, since in self._seen.items():
                if now - since >= WATCH_SECONDS:
                    swept += self._sweep(owner.owner_id)
            self._forget_owners()
        except LedgerUnavailable:
            self._seen.clear()
            raise
        return swept

    def _silent_owners(self) -> list[_Silent]:
        """Owners of reservations that have not beaten for `PATIENCE`, or have no row at all."""
        with self._database.read() as session:
            deadline = database_now(session) - PATIENCE
            rows = session.execute(
                select(Reservation.owner_id, Owner.heartbeat_at)
                .outerjoin(Owner, Owner.id == Reservation.owner_id)
                .where(
                    or_(
                        Owner.heartbeat_at < deadline,
                        Owner.id.is_(None) & (Reservation.admitted_at < deadline),
                    )
                )
                .distinct()
            ).all()
        return [_Silent(owner_id, str(heartbeat)) for owner_id, heartbeat in rows]

    def _sweep(self, owner_id: str) -> int:
        swept = 0
        after = ""
        while True:
            with self._database.read() as session:
                rows = session.scalars(
                    select(Reservation)
                    .where(Reservation.owner_id == owner_id, Reservation.call_id > after)
                    .order_by(Reservation.call_id)
                    .limit(_PAGE)
                ).all()
            for row in rows:
                after = row.call_id
                swept += self._abandon(row)
            if len(rows) < _PAGE:
                break
        logger.warning("ledger.owner_swept", extra={"owner_id": owner_id, "calls": swept})
        return swept

    def _abandon(self, row: Reservation) -> int:
        try:
            self._teller.settle(PostJob(_receipt(row), _settlement(row)))
        except UnwritableRow:
            logger.exception("ledger.sweep_failed", extra={"request_id": row.call_id})
            return 0
        logger.warning(
            "call.abandoned", extra={"request_id": row.call_id, "cost_nano": row.bound_nano}
        )
        return 1

    def _forget_owners(self) -> None:
        """Take away the rows of owners that are long gone and have nothing open."""
        with self._database.write() as session:
            deadline = database_now(session) - 10 * PATIENCE
            session.execute(
                delete(Owner).where(
                    Owner.heartbeat_at < deadline,
                    ~select(Reservation.call_id).where(Reservation.owner_id == Owner.id).exists(),
                )
            )


def _receipt(row: Reservation) -> Receipt:
    return Receipt(
        record=CallRecord(
            call_id=row.call_id,
            organisation_id=row.organisation_id,
            project_id=row.project_id,
            user_id=row.user_id,
            key_id=row.key_id,
            account_ids=(),
            route=row.route,
            model=row.model,
            provider=row.provider,
            target_model=row.target_model,
            price_id=row.price_id,
            end_user=row.end_user,
            tags=row.tags,
        ),
        admitted_at=row.admitted_at,
        balance_ids=tuple(row.balance_ids),
        bound_nano=row.bound_nano,
    )


def _settlement(row: Reservation) -> Settlement:
    return Settlement(
        status=Status.ABANDONED,
        counted=Counted.BOUND,
        usage=NO_USAGE,
        cost_nano=row.bound_nano,
        streamed=False,
        http_status=0,
        provider=row.provider,
        target_model=row.target_model,
        price_id=row.price_id,
        error_code="abandoned",
    )
