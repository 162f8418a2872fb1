"""Making rollups anew from the ledger, a little at a time and in the midst of traffic."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from torana.db.models import Balance, LedgerEntry, UsageRollup
from torana.db.session import Database
from torana.ledger.bucket_sums import entry_sums
from torana.ledger.rollups import BUCKET, COUNTS, DIMENSIONS, bucket_of, digest_of

CHUNK = timedelta(hours=2)
"""What one transaction makes anew, for one organisation, whose calls wait meanwhile."""
_AT_ONCE = 500


class Rebuilt(msgspec.Struct, frozen=True):
    """What was done.

    Attributes:
        changed: rollup rows that were not as the ledger says, or were missing, or too many.
    """

    entries_from: datetime | None
    entries_until: datetime | None
    rows: int
    changed: int


def rebuild(
    database: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[datetime], object] = lambda _instant: None,
) -> Rebuilt:
    """Make the rollups of a stretch of time anew.

    Each step holds the lock of an organisation's account, which whoever posts a call of it must
    have first: no call is lost between what is read and what is written.

    Args:
        database: of the ledger.
        since: from the quarter of an hour that holds it; from the beginning when left out.
        until: to the end of the quarter of an hour that holds it; to the end when left out.
        progress: told how far it has come.
    """
    with database.read() as session:
        bounds = _bounds(session)
    if bounds is None:
        return Rebuilt(None, None, 0, 0)
    start = max(bucket_of(since), bounds[0]) if since else bounds[0]
    end = min(_ceiling(until), bounds[1]) if until else bounds[1]
    at, rows, changed = start, 0, 0
    while at < end:
        following = min(at + CHUNK, end)
        with database.read() as session:
            organisations = _organisations(session, at, following)
        for organisation in organisations:
            with database.write() as session:
                made, differing = _remake(session, organisation, at, following)
            rows += made
            changed += differing
        at = following
        progress(at)
    return Rebuilt(start, end, rows, changed)


def _bounds(session: Session) -> tuple[datetime, datetime] | None:
    """The quarters of an hour from the first to the last that there is anything of."""
    instants: list[datetime] = []
    for column in (LedgerEntry.admitted_at, UsageRollup.bucket_start):
        ends = session.execute(select(func.min(column), func.max(column))).one()
        found: list[Any] = list(ends)
        instants += [instant for instant in found if instant is not None]
    if not instants:
        return None
    return bucket_of(min(instants)), bucket_of(max(instants)) + BUCKET


def _ceiling(instant: datetime) -> datetime:
    bucket = bucket_of(instant)
    return bucket if bucket == instant else bucket + BUCKET


def _organisations(session: Session, start: datetime, end: datetime) -> list[str]:
    found: set[str] = set()
    for column, instant in (
        (LedgerEntry.organisation_id, LedgerEntry.admitted_at),
        (UsageRollup.organisation_id, UsageRollup.bucket_start),
    ):
        query = select(column).where(instant >= start, instant < end).distinct()
        found.update(session.scalars(query))
    return sorted(found)


def _remake(
    session: Session, organisation_id: str, start: datetime, end: datetime
) -> tuple[int, int]:
    session.execute(
        select(Balance.id)
        .where(
            Balance.scope_kind == "organisation",
            Balance.scope_id == organisation_id,
            Balance.budget_id == "",
        )
        .with_for_update()
    )
    right = _computed(session, organisation_id, start, end)
    there = (
        UsageRollup.organisation_id == organisation_id,
        UsageRollup.bucket_start >= start,
        UsageRollup.bucket_start < end,
    )
    columns = [UsageRollup.bucket_start, UsageRollup.digest]
    columns += [getattr(UsageRollup, name) for name in (*DIMENSIONS, *COUNTS)]
    stored = {
        (row["bucket_start"], row["digest"]): dict(row)
        for row in session.execute(select(*columns).where(*there)).mappings()
    }
    differing = {key for key in right.keys() | stored.keys() if right.get(key) != stored.get(key)}
    extra = sorted(stored.keys() - right.keys())
    for at in range(0, len(extra), _AT_ONCE):
        key = tuple_(UsageRollup.bucket_start, UsageRollup.digest)
        session.execute(delete(UsageRollup).where(key.in_(extra[at : at + _AT_ONCE])))
    _put(session, [right[key] for key in sorted(differing & right.keys())])
    return len(right), len(differing)


def _put(session: Session, rows: list[dict[str, Any]]) -> None:
    """Write rows over whatever has their keys: what was wrong may be the organisation."""
    if not rows:
        return
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    statement = (sqlite if is_sqlite else postgresql).insert(UsageRollup.__table__)
    changed = {name: statement.excluded[name] for name in (*DIMENSIONS, *COUNTS)}
    session.connection().execute(
        statement.on_conflict_do_update(index_elements=["bucket_start", "digest"], set_=changed),
        rows,
    )


def _computed(
    session: Session, organisation_id: str, start: datetime, end: datetime
) -> dict[tuple[datetime, str], dict[str, Any]]:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    query = entry_sums(is_sqlite=is_sqlite).where(
        LedgerEntry.organisation_id == organisation_id,
        LedgerEntry.admitted_at >= start,
        LedgerEntry.admitted_at < end,
    )
    found = {}
    for row in session.execute(query).mappings():
        values = dict(row) | {name: int(row[name]) for name in COUNTS}
        values["digest"] = digest_of(values)
        found[values["bucket_start"], values["digest"]] = values
    return found
