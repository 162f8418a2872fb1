"""The teller's own way to the database: one connection, one transaction a batch.

A lane locks the balance rows of a batch in sorted order, deletes the reservations that its posts
release, lets `decide` judge, writes reservations, ledger entries and balances, and commits. On
PostgreSQL that is two round trips (the driver's pipeline mode); on SQLite it runs in a native
thread. A lane is used by one batch at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from torana.ledger.decide import Admit, Admitted, Balance, Outcome, Post, Posted, decide
from torana.ledger.records import CallRecord, Receipt, Settlement

BALANCE_COLUMNS = (
    "id, scope_kind, scope_id, limit_nano, spent_nano, reserved_nano, open_calls, blocked"
)


class AdmitJob(msgspec.Struct, frozen=True):
    """A call to admit."""

    record: CallRecord


class PostJob(msgspec.Struct, frozen=True):
    """A call to post."""

    receipt: Receipt
    settlement: Settlement


Job: TypeAlias = AdmitJob | PostJob


class Settled(msgspec.Struct, frozen=True):
    """What became of a batch: one outcome per job, and the database's time of the transaction."""

    outcomes: list[Outcome]
    now: datetime


class Lane(ABC):
    """The transaction, written once for both databases.

    Args:
        owner_id: this process's row in `owners`.
    """

    def __init__(self, owner_id: str) -> None:
        self._owner_id = owner_id

    def settle(self, batch: Sequence[Job]) -> Settled:
        """Settle a batch in one transaction.

        Raises:
            LedgerUnavailable: the database did not do it, or its answer was lost.
            UnwritableRow: the database refused the content of a row; nothing was written.
        """
        items = [_item(job) for job in batch]
        balance_ids = sorted({balance for item in items for balance in item.balance_ids})
        posted = [item.call_id for item in items if isinstance(item, Post)]
        now, rows, released = self._begin(balance_ids, posted)
        before = {row[0]: (row[4], row[5], row[6]) for row in rows}
        balances = {row[0]: Balance(*row) for row in rows}
        outcomes = decide(balances, items, released)
        reservations, entries = self._rows(batch, outcomes, now)
        changed = [
            {
                "id": row.id,
                "spent_nano": row.spent_nano,
                "reserved_nano": row.reserved_nano,
                "open_calls": row.open_calls,
            }
            for row in balances.values()
            if before[row.id] != (row.spent_nano, row.reserved_nano, row.open_calls)
        ]
        settled = Settled(outcomes, now)
        self._commit(settled, reservations, entries, changed)
        return settled

    def _rows(
        self, batch: Sequence[Job], outcomes: Sequence[Outcome], now: datetime
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        reservations = []
        entries = []
        for job, outcome in zip(batch, outcomes, strict=True):
            if isinstance(job, AdmitJob):
                if isinstance(outcome, Admitted):
                    reservations.append(_reservation_row(job.record, self._owner_id, now))
            elif isinstance(outcome, Posted):
                entries.append(_entry_row(job.receipt, job.settlement, now))
        return reservations, entries

    @abstractmethod
    def _begin(
        self, balance_ids: list[str], posted: list[str]
    ) -> tuple[datetime, list[tuple[Any, ...]], set[str]]:
        """Begin, lock the balances, delete reservations; the time, the rows, what was deleted."""

    @abstractmethod
    def _commit(
        self,
        settled: Settled,
        reservations: list[dict[str, Any]],
        entries: list[dict[str, Any]],
        balances: list[dict[str, Any]],
    ) -> None:
        """Write all and commit; `settled` is what the batch comes to if that works."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def _item(job: Job) -> Admit | Post:
    if isinstance(job, AdmitJob):
        record = job.record
        return Admit(record.call_id, record.balance_ids, record.bound_nano)
    record = job.receipt.record
    return Post(record.call_id, record.balance_ids, record.bound_nano, job.settlement.cost_nano)


def _reservation_row(record: CallRecord, owner_id: str, now: datetime) -> dict[str, Any]:
    return {
        "call_id": record.call_id,
        "owner_id": owner_id,
        "admitted_at": now,
        "balance_ids": record.balance_ids,
        "bound_nano": record.bound_nano,
        "price_id": record.price_id,
        "organisation_id": record.organisation_id,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "key_id": record.key_id,
        "route": record.route,
        "model": record.model,
        "provider": record.provider,
        "target_model": record.target_model,
    }


def _entry_row(receipt: Receipt, settlement: Settlement, now: datetime) -> dict[str, Any]:
    record = receipt.record
    usage = settlement.usage
    return {
        "admitted_at": receipt.admitted_at,
        "call_id": record.call_id,
        "seq": 0,
        "posted_at": now,
        "organisation_id": record.organisation_id,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "key_id": record.key_id,
        "route": record.route,
        "model": record.model,
        "provider": settlement.provider,
        "target_model": settlement.target_model,
        "status": settlement.status.value,
        "counted": settlement.counted.value,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_nano": settlement.cost_nano,
        "bound_nano": record.bound_nano,
        "price_id": settlement.price_id,
        "streamed": settlement.streamed,
        "http_status": settlement.http_status,
        "error_code": settlement.error_code,
        "duration_ms": settlement.duration_ms,
        "first_byte_ms": settlement.first_byte_ms,
        "provider_request_id": settlement.provider_request_id,
        "attempts": settlement.attempts,
        "tags": settlement.tags,
    }
