"""Money: balances, reservations, ledger entries, and the processes that hold reservations.

Rows of these tables are written by the teller alone. Reservations and ledger entries carry no
foreign keys: they are history, and a check per row would be paid on every call.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from torana.db.models.base import (
    Base,
    Count,
    Id,
    JsonColumn,
    MaybeNano,
    MaybeWhen,
    Name,
    Nano,
    When,
)


class Balance(Base):
    """What a scope has spent and reserved in a window of time.

    Every key, membership, project and organisation has one over all time; it also carries
    `blocked`, which stops calls in the next transaction on every process (`revoked`, `suspended`).
    """

    __tablename__ = "balances"
    __table_args__ = (
        UniqueConstraint("scope_kind", "scope_id", "window_start"),
        CheckConstraint("reserved_nano >= 0", name="reserved_not_negative"),
        CheckConstraint("open_calls >= 0", name="open_calls_not_negative"),
        # Few rows, updated all the time: room in the page keeps the updates off the indexes.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    scope_kind: Mapped[str] = mapped_column(String(16))
    scope_id: Mapped[Id]
    window_start: Mapped[When]
    window_end: Mapped[MaybeWhen]
    limit_nano: Mapped[MaybeNano]
    spent_nano: Mapped[Nano]
    reserved_nano: Mapped[Nano]
    open_calls: Mapped[Count]
    blocked: Mapped[str | None] = mapped_column(String(16))


class Reservation(Base):
    """A call that may cost money, written before its provider is called.

    It holds all that is needed to post the call without the process that admitted it.
    """

    __tablename__ = "reservations"
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    call_id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(index=True)
    admitted_at: Mapped[When]
    balance_ids: Mapped[list[str]] = mapped_column(JsonColumn)
    bound_nano: Mapped[Nano]
    price_id: Mapped[str | None] = mapped_column(String(48))
    organisation_id: Mapped[Id]
    project_id: Mapped[Id]
    user_id: Mapped[str | None] = mapped_column(String(48))
    key_id: Mapped[Id]
    route: Mapped[str] = mapped_column(String(48))
    model: Mapped[Name]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]


class LedgerEntry(Base):
    """One posting of a call. The entries of a call sum to its cost; a correction is a new entry.

    On PostgreSQL the table is partitioned by month of `admitted_at`.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index(None, "call_id"),
        Index(None, "project_id", "admitted_at"),
        {"postgresql_partition_by": "RANGE (admitted_at)"},
    )

    admitted_at: Mapped[When] = mapped_column(primary_key=True)
    call_id: Mapped[Id] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    posted_at: Mapped[When]
    organisation_id: Mapped[Id]
    project_id: Mapped[Id]
    user_id: Mapped[str | None] = mapped_column(String(48))
    key_id: Mapped[Id]
    route: Mapped[str] = mapped_column(String(48))
    model: Mapped[Name]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]
    status: Mapped[str] = mapped_column(String(16))
    counted: Mapped[str] = mapped_column(String(16))
    input_tokens: Mapped[Count]
    cached_tokens: Mapped[Count]
    cache_write_tokens: Mapped[Count]
    output_tokens: Mapped[Count]
    reasoning_tokens: Mapped[Count]
    cost_nano: Mapped[Nano]
    bound_nano: Mapped[Nano]
    price_id: Mapped[str | None] = mapped_column(String(48))
    streamed: Mapped[bool]
    http_status: Mapped[int]
    error_code: Mapped[str | None] = mapped_column(String(64))
    duration_ms: Mapped[int]
    first_byte_ms: Mapped[int | None]
    provider_request_id: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(JsonColumn)
    tags: Mapped[dict[str, str]] = mapped_column(JsonColumn)


class Owner(Base):
    """A process that holds reservations, known by a random id; host and pid are for people only."""

    __tablename__ = "owners"

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[Name]
    pid: Mapped[int]
    started_at: Mapped[When]
    heartbeat_at: Mapped[When] = mapped_column(index=True)
