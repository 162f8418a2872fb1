"""What a judged batch writes, as rows by table: made once here for both databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from torana.core.ids import new_id
from torana.core.usage import Counted
from torana.ledger import rollups
from torana.ledger.decide import FIGURES, Balance, Book, Threshold
from torana.ledger.items import Admitted, Corrected, Extended, Outcome, Posted
from torana.ledger.jobs import (
    AdmitJob,
    ExtendJob,
    Job,
    PostJob,
    entry_row,
    reservation_row,
    response_row,
)

IDEMPOTENT_LIFE = timedelta(hours=24)


class Writes(msgspec.Struct):
    """Rows by what is done with them, in the order in which that happens.

    Attributes:
        windows: new balance rows.
        claims: new or renewed claims of Idempotency-Keys.
        released: `(id, call_id)` of claims whose call has no answer to keep.
        answers: `(answer, id, call_id)` of claims whose call has one.
        responses: that callers may come back to.
        changed: balances with other figures.
        terms: accounts with other terms.
        suspended: targets that passed their bound.
    """

    windows: list[dict[str, Any]] = []
    reservations: list[dict[str, Any]] = []
    extended: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    rollups: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    released: list[tuple[str, str]] = []
    answers: list[tuple[bytes, str, str]] = []
    responses: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    terms: list[dict[str, Any]] = []
    suspended: list[dict[str, Any]] = []


def writes_of(
    book: Book,
    batch: Sequence[Job],
    outcomes: Sequence[Outcome],
    balance_ids: Sequence[tuple[str, ...]],
    *,
    before: Mapping[str, tuple[int, ...]],
    rolled: Sequence[Balance],
    owner_id: str,
) -> Writes:
    """All that a transaction writes.

    Args:
        book: as the judgement left it.
        batch: the jobs.
        outcomes: of the jobs.
        balance_ids: of the jobs.
        before: the figures of the locked balances before the judgement.
        rolled: windows that this transaction makes; their accounts have new terms.
        owner_id: this process.
    """
    writes = Writes()
    for job, outcome, ids in zip(batch, outcomes, balance_ids, strict=True):
        if isinstance(job, AdmitJob):
            if isinstance(outcome, Admitted):
                writes.reservations.append(
                    reservation_row(job, owner_id, book.now, ids, outcome.bound_nano)
                )
                _claim(writes, job, book.now)
        elif isinstance(job, PostJob):
            _post(writes, job, outcome, book.now)
        elif isinstance(outcome, Extended):
            writes.extended.append(_extended(job, outcome))
    writes.rollups = rollups.sums_of(writes.entries)
    writes.events = [_event(item, book.now) for item in book.thresholds]
    new = {row.id for row in rolled}
    writes.windows = [_window(row) for row in rolled]
    writes.changed = [
        _figures(row)
        for row in book.balances.values()
        if row.id not in new and before[row.id] != row.figures()
    ]
    windows_of = {(row.scope_kind, row.scope_id) for row in rolled}
    writes.terms = [
        {"id": row.id, "terms": msgspec.to_builtins(row.terms)}
        for row in book.balances.values()
        if not row.budget_id and (row.scope_kind, row.scope_id) in windows_of
    ]
    return writes


def _claim(writes: Writes, job: AdmitJob, now: datetime) -> None:
    claim = job.ask.claim
    if claim is not None:
        writes.claims.append(
            {
                "id": claim.id,
                "fingerprint": claim.fingerprint,
                "call_id": job.record.call_id,
                "expires_at": now + IDEMPOTENT_LIFE,
                "answer": None,
            }
        )


def _post(writes: Writes, job: PostJob, outcome: Outcome, now: datetime) -> None:
    settlement, call_id = job.settlement, job.receipt.record.call_id
    if isinstance(outcome, Corrected):
        cost, bound, seq = outcome.difference_nano, job.receipt.bound_nano, 1
    elif isinstance(outcome, Posted):
        cost, bound, seq = settlement.cost_nano, outcome.bound_nano, 0
        if outcome.idempotency_id is not None:
            if settlement.answer is None:
                writes.released.append((outcome.idempotency_id, call_id))
            else:
                writes.answers.append((settlement.answer, outcome.idempotency_id, call_id))
    else:
        return
    writes.entries.append(entry_row(job, now, seq=seq, cost_nano=cost, bound_nano=bound))
    if settlement.response is not None:
        writes.responses.append(response_row(job, settlement.response, now))
    if settlement.cost_nano > bound and settlement.counted is Counted.PROVIDER:
        writes.suspended.append(
            {
                "provider": settlement.provider,
                "model": settlement.target_model,
                "call_id": call_id,
                "bound_nano": bound,
                "cost_nano": settlement.cost_nano,
                "suspended_at": now,
            }
        )


def _extended(job: ExtendJob, outcome: Extended) -> dict[str, Any]:
    further = job.further
    return {
        "call_id": job.receipt.record.call_id,
        "bound_nano": outcome.bound_nano,
        "provider": further.provider,
        "target_model": further.target_model,
        "price_id": further.price_id,
    }


def _event(item: Threshold, now: datetime) -> dict[str, Any]:
    row = item.balance
    return {
        "id": new_id("evt"),
        "budget_id": row.budget_id,
        "balance_id": row.id,
        "scope_kind": row.scope_kind,
        "scope_id": row.scope_id,
        "window_start": row.window_start,
        "percent": item.percent,
        "spent_nano": item.spent_nano,
        "limit_nano": item.limit_nano,
        "happened_at": now,
    }


def _figures(row: Balance) -> dict[str, Any]:
    return {"id": row.id, **dict(zip(FIGURES, row.figures(), strict=True))}


def _window(row: Balance) -> dict[str, Any]:
    return _figures(row) | {
        "scope_kind": row.scope_kind,
        "scope_id": row.scope_id,
        "budget_id": row.budget_id,
        "window_start": row.window_start,
        "window_end": row.window_end,
        "limit_nano": row.limit_nano,
        "blocked": None,
        "terms": msgspec.to_builtins(row.terms),
    }


def call_ids(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The calls of rows."""
    return [row["call_id"] for row in rows]
