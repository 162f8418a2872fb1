"""The declarative base and the column types that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Dialect, MetaData, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from torana.core.clock import instant_at, microseconds


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant: `timestamptz` on PostgreSQL, integer microseconds on SQLite.

    SQLite has no type for time, and SQLAlchemy's text form loses the zone; an integer keeps it and
    sorts.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Instants to microseconds on SQLite; PostgreSQL's driver takes them as they are."""
        return to_microseconds if dialect.name == "sqlite" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Microseconds to instants on SQLite; to UTC on PostgreSQL."""
        del coltype
        return from_microseconds if dialect.name == "sqlite" else _to_utc


def to_microseconds(value: datetime | None) -> int | None:
    """An aware instant as microseconds since 1970."""
    if value is None:
        return None
    return microseconds(value)


def from_microseconds(value: int | None) -> datetime | None:
    """Microseconds since 1970 as an aware instant."""
    return None if value is None else instant_at(value)


def _to_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


JsonColumn = JSON().with_variant(JSONB(), "postgresql")

Id = Annotated[str, mapped_column(String(48))]
Name = Annotated[str, mapped_column(String(200))]
When = Annotated[datetime, mapped_column(Instant())]
MaybeWhen = Annotated[datetime | None, mapped_column(Instant())]
Nano = Annotated[int, mapped_column(BigInteger())]
MaybeNano = Annotated[int | None, mapped_column(BigInteger())]
Count = Annotated[int, mapped_column(BigInteger())]


class Base(DeclarativeBase):
    """Base of all tables; constraints are named, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
