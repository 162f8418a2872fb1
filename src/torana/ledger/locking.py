"""How balances are locked by everyone who is not the teller: all at once, in the teller's order.

Two transactions that lock in the same order never wait for each other in a circle. On SQLite a
writing transaction is alone anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from torana.core.clock import utc_now
from torana.db.models import Balance
from torana.errors import LedgerUnavailable

_AT_ONCE = 5000
"""A statement has room for so many ids; the batches follow one another in the same order."""
_ROUNDS = 20


def locked(session: Session, ids: Iterable[str]) -> dict[str, Balance]:
    """Lock balances, by their ids; those that are gone are left out."""
    rows: dict[str, Balance] = {}
    in_order = sorted(set(ids))
    for start in range(0, len(in_order), _AT_ONCE):
        query = (
            select(Balance)
            .where(Balance.id.in_(in_order[start : start + _AT_ONCE]))
            .order_by(Balance.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        rows.update({row.id: row for row in session.scalars(query)})
    return rows


def locked_wholly(session: Session, wanted: Callable[[], set[str]]) -> dict[str, Balance]:
    """Lock all balances that belong together.

    Which do is known for certain only under the locks: when there are more by then, the locks are
    given back, since a lock taken later would be out of order.

    Args:
        session: in a writing transaction that has no locks yet.
        wanted: reads the ids from the database.

    Raises:
        LedgerUnavailable: they changed each time.
    """
    for _ in range(_ROUNDS):
        ids = wanted()
        savepoint = session.begin_nested()
        rows = locked(session, ids)
        if wanted() <= ids:
            savepoint.commit()
            return rows
        savepoint.rollback()
    raise LedgerUnavailable("The budgets change too quickly.", retry_after=1)


def database_now(session: Session) -> datetime:
    """The database's time; SQLite's clock is this host's own. Read it after the locks."""
    if session.get_bind().dialect.name == "sqlite":
        return utc_now()
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    return now.astimezone(UTC)
