"""Whether the books agree: balances, reservations, ledger entries and rollups, at one moment.

A handful of queries over whole tables, never one per balance. The rollups are compared with the
ledger first; where they agree, windows are summed up from them, and otherwise from the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Select,
    String,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from torana.core.clock import isoformat
from torana.db.models import Balance, LedgerEntry, Membership, Reservation, UsageRollup
from torana.ledger.bucket_sums import bucket_ceiling, bucket_floor, dimensions_of, entry_sums
from torana.ledger.rollups import COUNTS, DIMENSIONS

MOST = 1000
"""Differences of one kind that are told; who has more needs no longer list."""
_AT_ONCE = 500


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not what the rows say.

    Attributes:
        what: `balance`, `reservation`, `entry` or `rollup`.
        balance_id: empty where it is about no balance.
        scope_kind, scope_id: of the balance; or `call` and its id; or `bucket` and its dimensions.
        column: what is wrong.
    """

    what: str = "balance"
    balance_id: str = ""
    scope_kind: str
    scope_id: str
    column: str
    stored: int
    computed: int


def verify(session: Session) -> list[Difference]:
    """Recompute all that is kept for speed from what it was made of.

    Args:
        session: a reading session that has not read yet.

    Returns:
        What differs; empty when the books are right.
    """
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    if not is_sqlite:
        # All sums must be of one moment; SQLite's transactions are that by themselves.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        session.execute(select(func.set_config("work_mem", "128MB", literal(value=True))))
    rollups = list(_rollups(session, is_sqlite=is_sqlite))
    source = LedgerEntry if rollups else UsageRollup
    found = [
        *_spent(session, source, is_sqlite=is_sqlite),
        *_reserved(session),
        *_calls(session),
        *rollups,
    ]
    return sorted(found, key=lambda row: (row.what, row.scope_kind, row.scope_id, row.column))


# --- rollups -----------------------------------------------------------------------------------


def _rollups(session: Session, *, is_sqlite: bool) -> Iterator[Difference]:
    """Both directions at once: stored sums minus the ledger's, where that is not zero."""
    computed = entry_sums(is_sqlite=is_sqlite).subquery()
    both = union_all(
        select(
            UsageRollup.bucket_start.label("bucket_start"),
            *dimensions_of(UsageRollup),
            *[getattr(UsageRollup, name).label(name) for name in COUNTS],
            literal(1).label("stored"),
            literal(0).label("computed"),
        ),
        select(
            computed.c.bucket_start,
            *[computed.c[name] for name in DIMENSIONS],
            *[-computed.c[name] for name in COUNTS],
            literal(0),
            literal(1),
        ),
    ).subquery()
    keys = [both.c.bucket_start, *[both.c[name] for name in DIMENSIONS]]
    sums = [func.sum(both.c[name]) for name in (*COUNTS, "stored", "computed")]
    wrong = or_(*[total != 0 for total in sums[: len(COUNTS)]], sums[-2] != 1, sums[-1] != 1)
    query = select(*keys, *sums).group_by(*keys).having(wrong).limit(MOST)
    for row in session.execute(query).all():
        bucket, dimensions = row[0], dict(zip(DIMENSIONS, row[1:], strict=False))
        excess = dict(zip((*COUNTS, "rows"), row[1 + len(DIMENSIONS) :], strict=False))
        excess["rows"] = int(row[-2]) - int(row[-1])
        stored = _stored(session, bucket, dimensions)
        scope = f"{isoformat(bucket)} {' '.join(str(dimensions[n] or '-') for n in DIMENSIONS)}"
        for column, more in excess.items():
            if more:
                yield Difference(
                    what="rollup",
                    scope_kind="bucket",
                    scope_id=scope,
                    column=column,
                    stored=stored[column],
                    computed=stored[column] - int(more),
                )


def _stored(session: Session, bucket: Any, dimensions: dict[str, Any]) -> dict[str, int]:
    conditions = [
        label.element.is_not_distinct_from(dimensions[label.name])
        for label in dimensions_of(UsageRollup)
        if label.name != "tags"
    ]
    rows = session.scalars(
        select(UsageRollup).where(UsageRollup.bucket_start == bucket, *conditions)
    )
    total: Counter[str] = Counter()
    for row in rows:
        if row.tags == dimensions["tags"]:
            total.update({name: getattr(row, name) for name in COUNTS} | {"rows": 1})
    return dict.fromkeys((*COUNTS, "rows"), 0) | dict(total)


# --- what balances have spent ------------------------------------------------------------------


def _spent(session: Session, source: Any, *, is_sqlite: bool) -> Iterator[Difference]:
    first = bucket_ceiling(Balance.window_start, is_sqlite=is_sqlite)
    last = bucket_floor(Balance.window_end, is_sqlite=is_sqlite)
    ragged = or_(Balance.window_start != first, Balance.window_end != last)
    kinds = session.scalars(select(Balance.scope_kind).distinct().order_by(Balance.scope_kind))
    for kind in kinds.all():
        instant = (
            UsageRollup.bucket_start
            if source is UsageRollup
            else bucket_floor(LedgerEntry.admitted_at, is_sqlite=is_sqlite)
        )
        sums = _by_scope(source, kind, instant, is_sqlite=is_sqlite)
        computed = func.coalesce(func.sum(sums.c.cost), 0)
        query = (
            select(Balance.id, Balance.scope_id, Balance.spent_nano, computed)
            .outerjoin(
                sums,
                and_(
                    sums.c.scope_id == Balance.scope_id,
                    sums.c.instant >= first,
                    or_(Balance.window_end.is_(None), sums.c.instant < last),
                ),
            )
            .where(Balance.scope_kind == kind)
            .group_by(Balance.id)
            .having(or_(Balance.spent_nano != computed, ragged))
        )
        rows = session.execute(query).all()
        edges = _edges(session, kind, first, last, is_sqlite=is_sqlite) if rows else {}
        for balance_id, scope_id, stored, whole in rows:
            total = int(whole) + edges.get(balance_id, 0)
            if stored != total:
                yield Difference(
                    balance_id=balance_id,
                    scope_kind=kind,
                    scope_id=scope_id,
                    column="spent_nano",
                    stored=stored,
                    computed=total,
                )


def _edges(
    session: Session, kind: str, first: Any, last: Any, *, is_sqlite: bool
) -> dict[str, int]:
    """What windows hold of quarters of an hour that they cut."""
    ragged = or_(Balance.window_start != first, Balance.window_end != last)
    cut = select(Balance.id).where(Balance.scope_kind == kind, ragged).limit(1)
    if session.scalar(cut) is None:
        return {}
    start, end = Balance.window_start, Balance.window_end
    entries = _by_scope(LedgerEntry, kind, LedgerEntry.admitted_at, is_sqlite=is_sqlite)
    instant = entries.c.instant
    before_end = or_(end.is_(None), instant < end)
    after = case((last > first, last), else_=first)
    query = (
        select(Balance.id, func.sum(entries.c.cost))
        .join(entries, entries.c.scope_id == Balance.scope_id)
        .where(
            Balance.scope_kind == kind,
            ragged,
            instant >= start,
            before_end,
            or_(instant < first, and_(end.is_not(None), instant >= after)),
        )
        .group_by(Balance.id)
    )
    return {row[0]: int(row[1]) for row in session.execute(query)}


def _by_scope(table: Any, kind: str, instant: Any, *, is_sqlite: bool) -> Any:
    """The costs of a table's rows by scope of a kind and by instant."""
    parts = []
    for scope_id, query in _scopes(table, kind, is_sqlite=is_sqlite):
        part: Select[Any] = query.add_columns(
            scope_id.label("scope_id"),
            instant.label("instant"),
            func.sum(table.cost_nano).label("cost"),
        )
        parts.append(part.group_by(scope_id, instant))
    return (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()


def _scopes(table: Any, kind: str, *, is_sqlite: bool) -> Iterator[tuple[Any, Select[Any]]]:
    """How the ids of scopes of a kind are found in a table: an expression, and where from."""
    direct = {
        "key": table.key_id,
        "project": table.project_id,
        "organisation": table.organisation_id,
    }
    if kind in direct:
        yield direct[kind], select().select_from(table)
        return
    if kind == "user":
        member = and_(
            Membership.organisation_id == table.organisation_id,
            Membership.user_id == table.user_id,
        )
        yield Membership.id, select().select_from(table).join(Membership, member)
        return
    slash = literal("/", String(), literal_execute=True)
    for anchor in (table.project_id, table.organisation_id):
        if kind == "end_user":
            scope = anchor + slash + table.end_user
            yield scope, select().select_from(table).where(table.end_user.is_not(None))
        else:
            each = (func.json_each if is_sqlite else func.jsonb_each_text)(table.tags)
            tag = each.table_valued("key", "value")
            equals = literal("=", String(), literal_execute=True)
            scope = anchor + slash + tag.c.key + equals + tag.c.value
            yield scope, select().select_from(table).join(tag, true())


# --- reservations and entries ------------------------------------------------------------------


def _reserved(session: Session) -> Iterator[Difference]:
    reserved: Counter[str] = Counter()
    open_calls: Counter[str] = Counter()
    holders: dict[str, str] = {}
    for call_id, balance_ids, bound in session.execute(
        select(Reservation.call_id, Reservation.balance_ids, Reservation.bound_nano)
    ):
        for balance_id in balance_ids:
            reserved[balance_id] += bound
            open_calls[balance_id] += 1
            holders[balance_id] = call_id
    columns = (
        Balance.id,
        Balance.scope_kind,
        Balance.scope_id,
        Balance.reserved_nano,
        Balance.open_calls,
    )
    held = select(*columns).where(or_(Balance.reserved_nano != 0, Balance.open_calls != 0))
    rows = {row[0]: row for row in session.execute(held)}
    for ids in _chunks([balance_id for balance_id in holders if balance_id not in rows]):
        rows |= {
            row[0]: row for row in session.execute(select(*columns).where(Balance.id.in_(ids)))
        }
    for balance_id, kind, scope_id, *stored in rows.values():
        computed = (reserved[balance_id], open_calls[balance_id])
        for column, now, right in zip(
            ("reserved_nano", "open_calls"), stored, computed, strict=True
        ):
            if now != right:
                yield Difference(
                    balance_id=balance_id,
                    scope_kind=kind,
                    scope_id=scope_id,
                    column=column,
                    stored=now,
                    computed=right,
                )
    for balance_id, call_id in holders.items():
        if balance_id not in rows:
            yield Difference(
                what="reservation",
                balance_id=balance_id,
                scope_kind="call",
                scope_id=call_id,
                column="balance_ids",
                stored=1,
                computed=0,
            )


def _calls(session: Session) -> Iterator[Difference]:
    posted = exists().where(LedgerEntry.call_id == Reservation.call_id)
    both = select(Reservation.call_id).where(posted).order_by(Reservation.call_id).limit(MOST)
    for call_id in session.scalars(both):
        yield Difference(
            what="reservation",
            scope_kind="call",
            scope_id=call_id,
            column="posted",
            stored=1,
            computed=0,
        )
    count, top = func.count(), func.max(LedgerEntry.seq)
    instants = (func.min(LedgerEntry.admitted_at), func.max(LedgerEntry.admitted_at))
    # The primary key keeps entries of one instant apart: so many, from 0 to the last, are all.
    broken = or_(count != top + 1, func.min(LedgerEntry.seq) != 0, instants[0] != instants[1])
    query = (
        select(LedgerEntry.call_id, count, top)
        .group_by(LedgerEntry.call_id)
        .having(broken)
        .order_by(LedgerEntry.call_id)
        .limit(MOST)
    )
    for call_id, entries, highest in session.execute(query):
        yield Difference(
            what="entry",
            scope_kind="call",
            scope_id=call_id,
            column="seq",
            stored=highest + 1,
            computed=entries,
        )


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))
