"""Partitions of the ledger on PostgreSQL: one for each month, made before it begins.

Rows of a month without a partition go to the default one, so none is ever refused; but then its
partition can't be made any more without moving them, which a person must decide on.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from torana.db.session import Database

logger = logging.getLogger("torana.db")

MONTHS_AHEAD = 3
_LOCK = 0x706172746974  # "partit"


def months_from(instant: datetime) -> list[datetime]:
    """The beginnings of an instant's month and of those made ahead of it, in UTC."""
    first = datetime(instant.year, instant.month, 1, tzinfo=UTC)
    months = [first]
    for _ in range(MONTHS_AHEAD):
        months.append(_next(months[-1]))
    return months


def partition_name(month: datetime) -> str:
    """The table of a month."""
    return f"ledger_entries_y{month.year:04d}m{month.month:02d}"


def create_statements(month: datetime) -> tuple[str, ...]:
    """The statements that make a month's partition."""
    name = partition_name(month)
    create = (
        f"CREATE TABLE {name} PARTITION OF ledger_entries "
        f"FOR VALUES FROM ('{month.isoformat()}') TO ('{_next(month).isoformat()}')"
    )
    return create, forbid_truncate(name)


def forbid_truncate(table: str) -> str:
    """The statement that keeps a table from being emptied: the parent's trigger does not reach it.

    Triggers on rows do, PostgreSQL copies them to each partition.
    """
    return (
        f"CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION torana_append_only()"
    )


def ensure(database: Database) -> list[str]:
    """Make the partitions that are missing; safe to run from many hosts at once.

    Returns:
        The names of those made now; none on SQLite, which has no partitions.
    """
    if database.is_sqlite:
        return []
    made = []
    with database.write() as session:
        session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        now: datetime = session.scalars(text("SELECT clock_timestamp()")).one()
        for month in months_from(now.astimezone(UTC)):
            name = partition_name(month)
            if session.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None:
                continue
            if _default_holds(session, month):
                logger.error("ledger.partition_blocked", extra={"partition": name})
                continue
            for statement in create_statements(month):
                session.execute(text(statement))
            made.append(name)
    return made


def _default_holds(session: Session, month: datetime) -> bool:
    return bool(
        session.scalar(
            text(
                "SELECT EXISTS (SELECT FROM ledger_entries_default "
                "WHERE admitted_at >= :first AND admitted_at < :next)"
            ),
            {"first": month, "next": _next(month)},
        )
    )


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
