"""The rollups as the ledger says they should be, as a query: for checking them and making them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Integer, Select, cast, func, literal_column, select
from sqlalchemy.sql.elements import ColumnElement, Label

from torana.core.usage import CLASSES
from torana.db.models import LedgerEntry
from torana.db.models.base import Instant
from torana.ledger.rollups import BUCKET, DIMENSIONS
from torana.ledger.tag_column import canonical_tags

_MICROSECONDS = BUCKET // timedelta(microseconds=1)


def bucket_floor(column: Any, *, is_sqlite: bool) -> ColumnElement[datetime]:
    """The beginning of an instant's quarter of an hour."""
    if is_sqlite:
        number = cast(column, BigInteger)
        width: ColumnElement[int] = literal_column(str(_MICROSECONDS))
        return cast(number - number % width, Instant)
    # Written out: as a parameter it would be another expression wherever it is repeated.
    return func.date_bin(
        literal_column("INTERVAL '15 minutes'"),
        column,
        literal_column("TIMESTAMPTZ '1970-01-01 00:00:00+00'"),
        type_=Instant(),
    )


def bucket_ceiling(column: Any, *, is_sqlite: bool) -> ColumnElement[datetime]:
    """The first beginning of a quarter of an hour that is not before an instant."""
    if is_sqlite:
        rest: ColumnElement[int] = literal_column(str(_MICROSECONDS - 1))
        return bucket_floor(cast(column, BigInteger) + rest, is_sqlite=True)
    later: ColumnElement[timedelta] = literal_column("INTERVAL '899.999999 seconds'")
    return bucket_floor(column + later, is_sqlite=False)


def dimensions_of(table: Any) -> list[Label[Any]]:
    """The dimensions of a rollup, of either table; equal tags are equal values."""
    return [
        (canonical_tags(table.tags) if name == "tags" else getattr(table, name)).label(name)
        for name in DIMENSIONS
    ]


def entry_sums(*, is_sqlite: bool) -> Select[Any]:
    """The sums of ledger entries by bucket and all dimensions: the columns of a rollup."""
    bucket = bucket_floor(LedgerEntry.admitted_at, is_sqlite=is_sqlite)
    dimensions = dimensions_of(LedgerEntry)
    calls = func.sum(cast(LedgerEntry.seq == literal_column("0"), Integer))
    sums = [func.sum(getattr(LedgerEntry, name)).label(name) for name in (*CLASSES, "cost_nano")]
    return select(bucket.label("bucket_start"), *dimensions, calls.label("calls"), *sums).group_by(
        bucket, *[label.element for label in dimensions]
    )
