"""Reading the ledger: entries page by page, and sums by what they are asked by."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from torana.core.ids import uuid_of
from torana.db.models import Balance, LedgerEntry, Membership, Reservation
from torana.errors import InvalidRequest, NotFound

Entry: TypeAlias = LedgerEntry
"""A row of the ledger, for layers that do not know the tables."""

GROUPS = ("model", "provider", "key", "user", "project", "status", "day")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEQUENCE = frozenset(str(number) for number in range(1000))
"""What a call's entries can be numbered."""
_DAY_MICROSECONDS = 86_400_000_000


class Page(msgspec.Struct, frozen=True):
    """Entries, newest first, and the cursor of the page after."""

    entries: list[LedgerEntry]
    next_cursor: str | None


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one group has used."""

    group: dict[str, str | None]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_nano: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A balance that is not what the rows say."""

    balance_id: str
    scope_kind: str
    scope_id: str
    column: str
    stored: int
    computed: int


def entry_page(
    session: Session,
    *,
    project_id: str,
    limit: int,
    cursor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Page:
    """A page of a project's ledger, newest first.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    query = _between(select(LedgerEntry).where(LedgerEntry.project_id == project_id), since, until)
    if cursor is not None:
        admitted_at, call_id, seq = _open_cursor(cursor)
        query = query.where(
            or_(
                LedgerEntry.admitted_at < admitted_at,
                and_(LedgerEntry.admitted_at == admitted_at, LedgerEntry.call_id < call_id),
                and_(
                    LedgerEntry.admitted_at == admitted_at,
                    LedgerEntry.call_id == call_id,
                    LedgerEntry.seq < seq,
                ),
            )
        )
    newest_first = (
        LedgerEntry.admitted_at.desc(),
        LedgerEntry.call_id.desc(),
        LedgerEntry.seq.desc(),
    )
    rows = list(session.scalars(query.order_by(*newest_first).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _cursor(rows[-1]) if more else None)


def entries_of_call(session: Session, *, project_id: str, call_id: str) -> list[LedgerEntry]:
    """A call's entries in their order.

    Raises:
        NotFound: the project has no such call.
    """
    try:
        uuid_of(call_id)
    except ValueError:
        raise _no_such_call(call_id) from None
    rows = session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.call_id == call_id, LedgerEntry.project_id == project_id)
        .order_by(LedgerEntry.seq)
    ).all()
    if not rows:
        raise _no_such_call(call_id)
    return list(rows)


def _no_such_call(call_id: str) -> NotFound:
    return NotFound(
        f"The ledger has no call {call_id[:100]!r}.", hint="A call is written when it ends."
    )


def usage(
    session: Session,
    *,
    group_by: tuple[str, ...],
    project_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[UsageRow]:
    """Sums over the ledger, dearest first.

    Args:
        session: a reading session.
        group_by: names of `GROUPS`; empty for one sum over all.
        project_id: only this project's.
        since: only calls admitted at or after it.
        until: only calls admitted before it.
    """
    groups = [_group(session, name).label(f"group_{name}") for name in group_by]
    total = func.coalesce(func.sum(LedgerEntry.cost_nano), 0)
    query: Select[Any] = select(
        *groups,
        func.count(LedgerEntry.call_id.distinct()),
        func.coalesce(
            func.sum(
                LedgerEntry.input_tokens
                + LedgerEntry.cached_tokens
                + LedgerEntry.cache_write_tokens
            ),
            0,
        ),
        func.coalesce(func.sum(LedgerEntry.output_tokens + LedgerEntry.reasoning_tokens), 0),
        total,
    )
    if project_id is not None:
        query = query.where(LedgerEntry.project_id == project_id)
    query = _between(query, since, until).group_by(*groups).order_by(total.desc(), *groups)
    width = len(group_by)
    return [
        UsageRow(
            group={
                name: _group_text(name, value)
                for name, value in zip(group_by, row[:width], strict=True)
            },
            calls=int(row[width]),
            input_tokens=int(row[width + 1]),
            output_tokens=int(row[width + 2]),
            cost_nano=int(row[width + 3]),
        )
        for row in session.execute(query)
    ]


def verify(session: Session) -> list[Difference]:
    """Recompute every balance from ledger entries and open reservations.

    Returns:
        What differs; empty when the books are right.
    """
    if session.get_bind().dialect.name == "postgresql":
        # All sums must be of one moment; SQLite's transactions are that by themselves.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    differences = []
    for balance in session.scalars(select(Balance).order_by(Balance.scope_kind, Balance.id)):
        scope = _scope_condition(session, LedgerEntry, balance)
        spent = session.scalar(
            select(func.coalesce(func.sum(LedgerEntry.cost_nano), 0)).where(scope)
        )
        reserved, open_calls = session.execute(
            select(
                func.coalesce(func.sum(Reservation.bound_nano), 0),
                func.count(),
            ).where(_scope_condition(session, Reservation, balance))
        ).one()
        for column, stored, computed in (
            ("spent_nano", balance.spent_nano, int(spent or 0)),
            ("reserved_nano", balance.reserved_nano, int(reserved)),
            ("open_calls", balance.open_calls, int(open_calls)),
        ):
            if stored != computed:
                differences.append(
                    Difference(
                        balance_id=balance.id,
                        scope_kind=balance.scope_kind,
                        scope_id=balance.scope_id,
                        column=column,
                        stored=stored,
                        computed=computed,
                    )
                )
    return differences


def _scope_condition(
    session: Session, table: type[LedgerEntry | Reservation], balance: Balance
) -> ColumnElement[bool]:
    if balance.scope_kind == "user":
        membership = session.get_one(Membership, balance.scope_id)
        return and_(
            table.user_id == membership.user_id,
            table.organisation_id == membership.organisation_id,
        )
    columns: dict[str, InstrumentedAttribute[str]] = {
        "key": table.key_id,
        "project": table.project_id,
        "organisation": table.organisation_id,
    }
    return columns[balance.scope_kind] == balance.scope_id


def _between(query: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        query = query.where(LedgerEntry.admitted_at >= since)
    if until is not None:
        query = query.where(LedgerEntry.admitted_at < until)
    return query


def _group(session: Session, name: str) -> ColumnElement[Any]:
    if name == "day":
        if session.get_bind().dialect.name == "sqlite":
            return cast(LedgerEntry.admitted_at, BigInteger) // literal(_DAY_MICROSECONDS)
        return func.date_trunc("day", LedgerEntry.admitted_at)
    columns: dict[str, Any] = {
        "model": LedgerEntry.model,
        "provider": LedgerEntry.provider,
        "key": LedgerEntry.key_id,
        "user": LedgerEntry.user_id,
        "project": LedgerEntry.project_id,
        "status": LedgerEntry.status,
    }
    column: ColumnElement[Any] = columns[name]
    return column


def _group_text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if name == "day":
        if isinstance(value, datetime):
            return value.astimezone(UTC).date().isoformat()
        return (_EPOCH + timedelta(days=int(float(str(value))))).date().isoformat()
    return str(value)


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
