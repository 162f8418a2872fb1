"""What callers of the teller hand it, and how a job becomes an item to be judged."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from torana.core.usage import NO_USAGE, Counted
from torana.errors import LedgerUnavailable
from torana.ledger.decide import OpenCall
from torana.ledger.items import Admit, Admitted, Extend, Outcome, Post
from torana.ledger.records import (
    Ask,
    CallRecord,
    Further,
    KeptResponse,
    Receipt,
    Settlement,
    Status,
)


class AdmitJob(msgspec.Struct, frozen=True):
    """A call to admit."""

    record: CallRecord
    ask: Ask


class ExtendJob(msgspec.Struct, frozen=True):
    """An open call that makes another try."""

    receipt: Receipt
    further: Further


class PostJob(msgspec.Struct, frozen=True):
    """A call to post."""

    receipt: Receipt
    settlement: Settlement


Job: TypeAlias = AdmitJob | ExtendJob | PostJob


class Settled(msgspec.Struct, frozen=True):
    """What became of a batch.

    Attributes:
        outcomes: one per job.
        now: the database's time of the transaction.
        balance_ids: of each job, the balances that carry it.
    """

    outcomes: list[Outcome]
    now: datetime
    balance_ids: list[tuple[str, ...]]


class CommitUnheard(LedgerUnavailable):
    """A batch may have been committed or not, and the database can't be asked.

    Args:
        settled: what it comes to if it was.
    """

    def __init__(self, settled: Settled) -> None:
        super().__init__("The ledger is not available.", retry_after=1)
        self.settled = settled


def call_id_of(job: Job) -> str:
    """The call that a job is about."""
    return job.record.call_id if isinstance(job, AdmitJob) else job.receipt.record.call_id


def kept_bytes(job: Job) -> int:
    """The bytes that a job writes because its caller wants to come back to them."""
    if not isinstance(job, PostJob):
        return 0
    settlement = job.settlement
    response = settlement.response.content if settlement.response is not None else None
    return len(settlement.answer or b"") + len(response or b"")


def item_of(job: Job, balance_ids: tuple[str, ...]) -> Admit | Extend | Post:
    """The item that `decide` judges.

    Args:
        job: what was asked.
        balance_ids: for an admission, the balances that judge it.
    """
    if isinstance(job, AdmitJob):
        ask, bound = job.ask, job.ask.bound
        return Admit(
            call_id=job.record.call_id,
            balance_ids=balance_ids,
            fixed=bound.fixed,
            per_output=bound.per_output,
            output=bound.output,
            capped=bound.capped,
            tokens=bound.tokens,
            model=job.record.model,
            priced=ask.priced,
            suspended=ask.suspended,
            unruled=bound.unruled,
            claim=ask.claim,
        )
    call_id = job.receipt.record.call_id
    if isinstance(job, ExtendJob):
        further, bound = job.further, job.further.ask.bound
        return Extend(
            call_id=call_id,
            bound_nano=further.bound_nano,
            output=bound.output if further.output is None else further.output,
            capped=bound.capped,
            priced=further.ask.priced,
            suspended=further.ask.suspended,
            unruled=bound.unruled,
        )
    settlement = job.settlement
    usage = settlement.usage
    return Post(
        call_id,
        settlement.cost_nano,
        usage.total_input + usage.total_output,
        corrects=settlement.status is not Status.ABANDONED,
        answered=settlement.answer is not None,
    )


def receipt_of(job: AdmitJob, admitted: Admitted, settled: Settled, index: int) -> Receipt:
    """The receipt of an admitted call; `index` is its place in the batch."""
    return Receipt(
        record=job.record,
        admitted_at=settled.now,
        balance_ids=settled.balance_ids[index],
        bound_nano=admitted.bound_nano,
        output=admitted.output,
        rates=admitted.rates,
    )


def given_back(job: Job, settled: Settled, index: int) -> PostJob | None:
    """The post of a call that was admitted for nothing: its provider never gets it.

    Args:
        job: what was asked; None comes back unless it is an admission that was granted.
        settled: what became of its batch, if that was committed.
        index: its place in the batch.
    """
    outcome = settled.outcomes[index]
    if not isinstance(job, AdmitJob) or not isinstance(outcome, Admitted):
        return None
    record = job.record
    settlement = Settlement(
        status=Status.ERROR,
        counted=Counted.PROVIDER,
        usage=NO_USAGE,
        cost_nano=0,
        streamed=False,
        http_status=LedgerUnavailable.status,
        provider=record.provider,
        target_model=record.target_model,
        price_id=record.price_id,
        error_code=LedgerUnavailable.code,
    )
    return PostJob(receipt_of(job, outcome, settled, index), settlement)


def reservation_row(
    job: AdmitJob, owner_id: str, now: datetime, balance_ids: tuple[str, ...], bound_nano: int
) -> dict[str, Any]:
    """The row of `reservations` for an admitted call."""
    record, claim = job.record, job.ask.claim
    return {
        "call_id": record.call_id,
        "owner_id": owner_id,
        "admitted_at": now,
        "balance_ids": balance_ids,
        "bound_nano": bound_nano,
        "tokens": job.ask.bound.tokens,
        "price_id": record.price_id,
        "organisation_id": record.organisation_id,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "key_id": record.key_id,
        "end_user": record.end_user,
        "tags": record.tags,
        "route": record.route,
        "model": record.model,
        "provider": record.provider,
        "target_model": record.target_model,
        "idempotency_id": claim.id if claim is not None else None,
    }


def response_row(job: PostJob, kept: KeptResponse, now: datetime) -> dict[str, Any]:
    """The row of `stored_responses` for a response that is kept.

    Args:
        job: the posting of its call.
        kept: what is kept of it.
        now: the database's time, from which it lives.
    """
    record = job.receipt.record
    return {
        "project_id": record.project_id,
        "id": kept.id,
        "organisation_id": record.organisation_id,
        "key_id": record.key_id,
        "call_id": record.call_id,
        "provider": job.settlement.provider,
        "target_model": job.settlement.target_model,
        "kept_by": kept.kept_by,
        "previous_id": kept.previous_id,
        "created_at": now,
        "expires_at": now + timedelta(seconds=kept.life),
        "content": kept.content,
    }


def open_call(
    balance_ids: list[str], bound_nano: int, tokens: int, idempotency_id: str | None
) -> OpenCall:
    """A reservation as it comes from the database."""
    return OpenCall(tuple(balance_ids), bound_nano, tokens, idempotency_id)


def entry_row(
    job: PostJob, now: datetime, *, seq: int, cost_nano: int, bound_nano: int
) -> dict[str, Any]:
    """The row of `ledger_entries` for a posting.

    Args:
        job: what was asked.
        now: the database's time.
        seq: 0, or 1 for a correction.
        cost_nano: the cost, or the difference to what was posted before.
        bound_nano: what was reserved.
    """
    record, settlement, usage = job.receipt.record, job.settlement, job.settlement.usage
    return {
        "admitted_at": job.receipt.admitted_at,
        "call_id": record.call_id,
        "seq": seq,
        "posted_at": now,
        "organisation_id": record.organisation_id,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "key_id": record.key_id,
        "end_user": record.end_user,
        "route": record.route,
        "model": record.model,
        "provider": settlement.provider,
        "target_model": settlement.target_model,
        "status": settlement.status.value,
        "counted": settlement.counted.value,
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_image_tokens": usage.output_image_tokens,
        "images": usage.images,
        "characters": usage.characters,
        "audio_seconds": usage.audio_seconds,
        "searches": usage.searches,
        "cost_nano": cost_nano,
        "bound_nano": bound_nano,
        "price_id": settlement.price_id,
        "streamed": settlement.streamed,
        "http_status": settlement.http_status,
        "error_code": settlement.error_code,
        "duration_ms": settlement.duration_ms,
        "first_byte_ms": settlement.first_byte_ms,
        "provider_request_id": settlement.provider_request_id,
        "attempts": settlement.attempts,
        "tags": record.tags,
    }
