"""Reading the ledger itself: page by page, call by call, or all of it in a stream."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from torana.core.ids import uuid_of
from torana.db.models import LedgerEntry
from torana.errors import InvalidRequest, NotFound
from torana.ledger.reports.filters import ALL, Filter

Entry: TypeAlias = LedgerEntry
"""A row of the ledger, for layers that do not know the tables."""

COLUMNS: tuple[str, ...] = tuple(column.name for column in LedgerEntry.__table__.columns)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEQUENCE = frozenset(str(number) for number in range(1000))
"""What a call's entries can be numbered."""


class Page(msgspec.Struct, frozen=True):
    """Entries, newest first, and the cursor of the page after."""

    entries: list[LedgerEntry]
    next_cursor: str | None


def entry_page(
    session: Session,
    *,
    where: Filter,
    limit: int,
    cursor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    min_cost_nano: int | None = None,
) -> Page:
    """A page of the ledger, newest first.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    query = _chosen(select(LedgerEntry), where, since, until)
    if min_cost_nano is not None:
        query = query.where(LedgerEntry.cost_nano >= min_cost_nano)
    if cursor is not None:
        query = query.where(_before(*_open_cursor(cursor)))
    newest_first = (
        LedgerEntry.admitted_at.desc(),
        LedgerEntry.call_id.desc(),
        LedgerEntry.seq.desc(),
    )
    rows = list(session.scalars(query.order_by(*newest_first).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _cursor(rows[-1]) if more else None)


def entries_of_call(session: Session, *, call_id: str, where: Filter = ALL) -> list[LedgerEntry]:
    """A call's entries in their order.

    Raises:
        NotFound: there is no such call among those of the filter.
    """
    try:
        uuid_of(call_id)
    except ValueError:
        raise _no_such_call(call_id) from None
    rows = session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.call_id == call_id, *where.conditions(LedgerEntry))
        .order_by(LedgerEntry.seq)
    ).all()
    if not rows:
        raise _no_such_call(call_id)
    return list(rows)


def stream_entries(
    session: Session,
    *,
    where: Filter,
    since: datetime | None,
    until: datetime | None,
    chunk: int,
) -> Iterator[list[dict[str, Any]]]:
    """All entries, oldest first, some at a time: mappings of `COLUMNS`, all of one moment."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    columns = [getattr(LedgerEntry, name) for name in COLUMNS]
    after: tuple[datetime, str, int] | None = None
    while True:
        query = _chosen(select(*columns), where, since, until)
        if after is not None:
            query = query.where(_after(*after))
        query = query.order_by(LedgerEntry.admitted_at, LedgerEntry.call_id, LedgerEntry.seq)
        rows = [dict(row) for row in session.execute(query.limit(chunk)).mappings()]
        if rows:
            yield rows
        if len(rows) < chunk:
            return
        after = (rows[-1]["admitted_at"], rows[-1]["call_id"], rows[-1]["seq"])


def _chosen(
    query: Select[Any], where: Filter, since: datetime | None, until: datetime | None
) -> Select[Any]:
    query = query.where(*where.conditions(LedgerEntry))
    if since is not None:
        query = query.where(LedgerEntry.admitted_at >= since)
    if until is not None:
        query = query.where(LedgerEntry.admitted_at < until)
    return query


def _before(admitted_at: datetime, call_id: str, seq: int) -> Any:
    entry = LedgerEntry
    return and_(
        # Said apart, so that older partitions and the index are gone into directly.
        entry.admitted_at <= admitted_at,
        or_(
            entry.admitted_at < admitted_at,
            entry.call_id < call_id,
            and_(entry.call_id == call_id, entry.seq < seq),
        ),
    )


def _after(admitted_at: datetime, call_id: str, seq: int) -> Any:
    entry = LedgerEntry
    return and_(
        entry.admitted_at >= admitted_at,
        or_(
            entry.admitted_at > admitted_at,
            entry.call_id > call_id,
            and_(entry.call_id == call_id, entry.seq > seq),
        ),
    )


def _no_such_call(call_id: str) -> NotFound:
    return NotFound(
        f"The ledger has no call {call_id[:100]!r}.", hint="A call is written when it ends."
    )


def _cursor(entry: LedgerEntry) -> str:
    text = f"{entry.admitted_at.isoformat()}|{entry.call_id}|{entry.seq}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _open_cursor(cursor: str) -> tuple[datetime, str, int]:
    try:
        instant, call_id, seq = base64.urlsafe_b64decode(cursor).decode().split("|")
        admitted_at = datetime.fromisoformat(instant)
        uuid_of(call_id)
        if admitted_at.utcoffset() == timedelta(0) and admitted_at >= _EPOCH and seq in _SEQUENCE:
            return admitted_at, call_id, int(seq)
        problem = None
    except (ValueError, binascii.Error) as error:
        problem = error
    raise InvalidRequest("The cursor is not one that a page gave.", param="cursor") from problem
