"""Money: balances, reservations, ledger entries, and the processes that hold reservations.

Rows of these tables are written by the teller, and under the same locks by whoever edits limits.
Reservations and ledger entries carry no foreign keys: they are history, and a check per row would
be paid on every call.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, UniqueConstraint
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

SCOPE_LENGTH = 300
"""A scope's id: our own id, or that of its organisation or project and a caller's text."""
CALLER_TEXT = 200
"""The most of a caller's text (an end user's id, a tag) that a column holds."""


class Balance(Base):
    """What a scope has spent and reserved in a window of time.

    Every scope has an *account*: its balance over all time (`budget_id` is empty), which carries
    what stops calls in the next transaction on every process: `blocked`, rate limits, and the list
    of its budgets' present windows. Every budget has a balance for each of its windows.

    Attributes:
        limit_nano: the most that may be spent in the window, without a raise; None on accounts.
        blocked: `revoked` or `suspended`, else None.
        request_tat, token_tat: the rate limits' theoretical arrival times (GCRA), in nanoseconds
            since 1970.
        notified: the highest threshold, in percent, that an event was written for.
        terms: a `torana.ledger.terms.Terms` as JSON.
    """

    __tablename__ = "balances"
    __table_args__ = (
        UniqueConstraint("scope_kind", "scope_id", "budget_id", "window_start"),
        CheckConstraint("reserved_nano >= 0", name="reserved_not_negative"),
        CheckConstraint("open_calls >= 0", name="open_calls_not_negative"),
        # Few rows, updated all the time: room in the page keeps the updates off the indexes.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    scope_kind: Mapped[str] = mapped_column(String(16))
    scope_id: Mapped[str] = mapped_column(String(SCOPE_LENGTH))
    budget_id: Mapped[Id] = mapped_column(server_default="", index=True)
    window_start: Mapped[When]
    window_end: Mapped[MaybeWhen]
    limit_nano: Mapped[MaybeNano]
    spent_nano: Mapped[Nano]
    reserved_nano: Mapped[Nano]
    open_calls: Mapped[Count]
    blocked: Mapped[str | None] = mapped_column(String(16))
    request_tat: Mapped[Count] = mapped_column(server_default="0")
    token_tat: Mapped[Count] = mapped_column(server_default="0")
    notified: Mapped[int] = mapped_column(server_default="0")
    terms: Mapped[dict[str, Any]] = mapped_column(JsonColumn, server_default="{}")


class Budget(Base):
    """An amount that a scope may spend in each of its windows.

    A template (`is_template`) stands for a budget of every end user that calls: its scope id ends
    in `/*`, and each end user has balances of their own under the template's id.

    Attributes:
        scope_id: of the key, membership, project or organisation; for an end user or a tag
            `ANCHOR/alice` or `ANCHOR/team=red`, where ANCHOR is a project or an organisation.
        period: `day`, `week`, `month`, `total` or `interval`.
        interval_seconds, starts_at: the length of an `interval` window, and when the first began.
        mode: `refuse` or `clamp`.
        thresholds: percents at which events are written.
        raise_nano, raise_until: what is added to the amount, and until when.
    """

    __tablename__ = "budgets"
    __table_args__ = (Index(None, "scope_kind", "scope_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organisation_id: Mapped[Id] = mapped_column(index=True)
    name: Mapped[Name]
    scope_kind: Mapped[str] = mapped_column(String(16))
    scope_id: Mapped[str] = mapped_column(String(SCOPE_LENGTH))
    is_template: Mapped[bool]
    amount_nano: Mapped[Nano]
    period: Mapped[str] = mapped_column(String(16))
    interval_seconds: Mapped[int | None]
    starts_at: Mapped[MaybeWhen]
    time_zone: Mapped[str] = mapped_column(String(64))
    mode: Mapped[str] = mapped_column(String(16))
    thresholds: Mapped[list[int]] = mapped_column(JsonColumn)
    models: Mapped[list[str] | None] = mapped_column(JsonColumn)
    raise_nano: Mapped[Nano]
    raise_until: Mapped[MaybeWhen]
    created_at: Mapped[When]
    updated_at: Mapped[When]


class BudgetEvent(Base):
    """A budget's spending has reached one of its thresholds."""

    __tablename__ = "budget_events"

    id: Mapped[Id] = mapped_column(primary_key=True)
    budget_id: Mapped[Id] = mapped_column(index=True)
    balance_id: Mapped[Id]
    scope_kind: Mapped[str] = mapped_column(String(16))
    scope_id: Mapped[str] = mapped_column(String(SCOPE_LENGTH))
    window_start: Mapped[When]
    percent: Mapped[int]
    spent_nano: Mapped[Nano]
    limit_nano: Mapped[Nano]
    happened_at: Mapped[When] = mapped_column(index=True)


class Reservation(Base):
    """A call that may cost money, written before its provider is called.

    It holds all that is needed to post the call without the process that admitted it.

    Attributes:
        balance_ids: the balances that carry its bound: accounts and windows.
        tokens: what it took of its accounts' token rates.
        idempotency_id: the claim that ends with it, if the caller sent a key.
    """

    __tablename__ = "reservations"
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    call_id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(index=True)
    admitted_at: Mapped[When]
    balance_ids: Mapped[list[str]] = mapped_column(JsonColumn)
    bound_nano: Mapped[Nano]
    tokens: Mapped[Count] = mapped_column(server_default="0")
    price_id: Mapped[str | None] = mapped_column(String(48))
    organisation_id: Mapped[Id]
    project_id: Mapped[Id]
    user_id: Mapped[str | None] = mapped_column(String(48))
    key_id: Mapped[Id]
    end_user: Mapped[str | None] = mapped_column(String(CALLER_TEXT))
    tags: Mapped[dict[str, str]] = mapped_column(JsonColumn, server_default="{}")
    route: Mapped[str] = mapped_column(String(48))
    model: Mapped[Name]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]
    idempotency_id: Mapped[str | None] = mapped_column(String(64))


class LedgerEntry(Base):
    """One posting of a call. The entries of a call sum to its cost; a correction is a new entry.

    Rows are never changed or deleted: triggers refuse it. On PostgreSQL the table is partitioned by
    month of `admitted_at`.
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
    end_user: Mapped[str | None] = mapped_column(String(CALLER_TEXT))
    route: Mapped[str] = mapped_column(String(48))
    model: Mapped[Name]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]
    status: Mapped[str] = mapped_column(String(16))
    counted: Mapped[str] = mapped_column(String(16))
    input_tokens: Mapped[Count]
    cached_tokens: Mapped[Count]
    cache_write_tokens: Mapped[Count]
    cache_write_1h_tokens: Mapped[Count] = mapped_column(server_default="0")
    input_audio_tokens: Mapped[Count] = mapped_column(server_default="0")
    output_tokens: Mapped[Count]
    reasoning_tokens: Mapped[Count]
    output_audio_tokens: Mapped[Count] = mapped_column(server_default="0")
    images: Mapped[Count] = mapped_column(server_default="0")
    input_image_tokens: Mapped[Count] = mapped_column(server_default="0")
    output_image_tokens: Mapped[Count] = mapped_column(server_default="0")
    characters: Mapped[Count] = mapped_column(server_default="0")
    audio_seconds: Mapped[Count] = mapped_column(server_default="0")
    searches: Mapped[Count] = mapped_column(server_default="0")
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


class UsageRollup(Base):
    """The sums of the ledger entries of a quarter of an hour that share all of their dimensions.

    Written in the transaction of the entries; `torana ledger rebuild` makes them anew.

    Attributes:
        bucket_start: the quarter of an hour, of `admitted_at`.
        digest: of all dimensions (`torana.ledger.rollups.digest_of`).
        calls: entries that are no corrections.
    """

    __tablename__ = "usage_rollups"
    __table_args__ = (
        Index(None, "organisation_id", "bucket_start"),
        Index(None, "project_id", "bucket_start"),
        Index(None, "key_id", "bucket_start"),
        Index(None, "user_id", "bucket_start"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    bucket_start: Mapped[When] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    organisation_id: Mapped[Id]
    project_id: Mapped[Id]
    user_id: Mapped[str | None] = mapped_column(String(48))
    key_id: Mapped[Id]
    end_user: Mapped[str | None] = mapped_column(String(CALLER_TEXT))
    model: Mapped[Name]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]
    status: Mapped[str] = mapped_column(String(16))
    tags: Mapped[dict[str, str]] = mapped_column(JsonColumn)
    calls: Mapped[Count]
    input_tokens: Mapped[Count]
    cached_tokens: Mapped[Count]
    cache_write_tokens: Mapped[Count]
    cache_write_1h_tokens: Mapped[Count]
    input_audio_tokens: Mapped[Count]
    output_tokens: Mapped[Count]
    reasoning_tokens: Mapped[Count]
    output_audio_tokens: Mapped[Count]
    images: Mapped[Count]
    input_image_tokens: Mapped[Count] = mapped_column(server_default="0")
    output_image_tokens: Mapped[Count] = mapped_column(server_default="0")
    characters: Mapped[Count] = mapped_column(server_default="0")
    audio_seconds: Mapped[Count] = mapped_column(server_default="0")
    searches: Mapped[Count] = mapped_column(server_default="0")
    cost_nano: Mapped[Nano]


class IdempotentCall(Base):
    """What a caller's Idempotency-Key stands for: a call under way, or its stored answer.

    Attributes:
        id: SHA-256 of the API key's id and the caller's key, in hex.
        fingerprint: SHA-256 of route and body, in hex: the same key with another body is an error.
        answer: the encrypted answer; None while the call is under way.
    """

    __tablename__ = "idempotent_calls"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    call_id: Mapped[Id]
    expires_at: Mapped[When] = mapped_column(index=True)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)


class Owner(Base):
    """A process that holds reservations, known by a random id; host and pid are for people only."""

    __tablename__ = "owners"

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[Name]
    pid: Mapped[int]
    started_at: Mapped[When]
    heartbeat_at: Mapped[When] = mapped_column(index=True)
