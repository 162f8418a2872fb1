"""What a scope has spent in a window of time, and which of its calls are still open there.

Exact and quick: whole quarters of an hour come from the rollups, and only what juts out at the
window's two ends is summed up from ledger entries. Whoever needs a figure to stay true reads it in
a writing transaction, under the lock of the scope's account.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from torana.db.models import LedgerEntry, Membership, Reservation, UsageRollup
from torana.ledger.rollups import whole_buckets
from torana.ledger.tag_column import tag_of

Table: TypeAlias = type[LedgerEntry] | type[Reservation] | type[UsageRollup]


def spent_between(
    session: Session, *, scope_kind: str, scope_id: str, start: datetime, end: datetime | None
) -> int:
    """Nano-dollars that the calls of a scope admitted in a window have cost.

    Args:
        session: of a transaction that holds the scope's lock, if the sum is to stay true.
        scope_kind: `key`, `user`, `project`, `organisation`, `end_user` or `tag`.
        scope_id: as in `balances`; a user's is the membership's id.
        start: the first instant of the window.
        end: the first instant after it; None for an open end.
    """
    whole = whole_buckets(start, end)
    if whole is None:
        return _posted(session, scope_kind, scope_id, start, end)
    first, last = whole
    query = select(func.coalesce(func.sum(UsageRollup.cost_nano), 0)).where(
        of_scope(session, UsageRollup, scope_kind, scope_id), UsageRollup.bucket_start >= first
    )
    if last is not None:
        query = query.where(UsageRollup.bucket_start < last)
    total = int(session.scalar(query) or 0)
    if start < first:
        total += _posted(session, scope_kind, scope_id, start, first)
    if end is not None and last is not None and last < end:
        total += _posted(session, scope_kind, scope_id, last, end)
    return total


def open_between(
    session: Session, *, scope_kind: str, scope_id: str, start: datetime, end: datetime | None
) -> Sequence[Reservation]:
    """The open reservations of a scope that were admitted in a window, by call id.

    Args:
        session: of a transaction that holds the scope's lock, if the list is to stay true.
        scope_kind: as of `spent_between`.
        scope_id: as of `spent_between`.
        start: the first instant of the window.
        end: the first instant after it; None for an open end.
    """
    query = (
        select(Reservation)
        .where(
            of_scope(session, Reservation, scope_kind, scope_id), Reservation.admitted_at >= start
        )
        .order_by(Reservation.call_id)
    )
    if end is not None:
        query = query.where(Reservation.admitted_at < end)
    return session.scalars(query).all()


def of_scope(session: Session, table: Table, scope_kind: str, scope_id: str) -> ColumnElement[bool]:
    """The condition that a row of a table belongs to a scope."""
    columns: dict[str, InstrumentedAttribute[str]] = {
        "key": table.key_id,
        "project": table.project_id,
        "organisation": table.organisation_id,
    }
    if scope_kind in columns:
        return columns[scope_kind] == scope_id
    if scope_kind == "user":
        membership = session.get_one(Membership, scope_id)
        return and_(
            table.organisation_id == membership.organisation_id,
            table.user_id == membership.user_id,
        )
    anchor, _, text = scope_id.partition("/")
    anchored = (table.project_id if anchor.startswith("proj_") else table.organisation_id) == anchor
    if scope_kind == "end_user":
        return and_(anchored, table.end_user == text)
    name, _, value = text.partition("=")
    return and_(anchored, tag_of(table.tags, name) == value)


def _posted(
    session: Session, scope_kind: str, scope_id: str, start: datetime, end: datetime | None
) -> int:
    query = select(func.coalesce(func.sum(LedgerEntry.cost_nano), 0)).where(
        of_scope(session, LedgerEntry, scope_kind, scope_id), LedgerEntry.admitted_at >= start
    )
    if end is not None:
        query = query.where(LedgerEntry.admitted_at < end)
    return int(session.scalar(query) or 0)
