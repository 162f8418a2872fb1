"""What the teller writes, as values: the identity of a call, its settlement, its receipt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from torana.core.rates import RateView
from torana.core.usage import Counted, Usage
from torana.ledger.bounds import Bound


class Status(StrEnum):
    """How a call ended.

    `abandoned`: its process fell silent, and it was posted at its bound. `cached`: it was answered
    from the cache and cost nothing.
    """

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    CACHED = "cached"


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls what: the part of a row that is known when the call is admitted.

    Attributes:
        account_ids: of the key, its user, project and organisation.
        end_user: the caller's own name for whom it calls for, if it told one.
        tags: the caller's labels.
    """

    call_id: str
    organisation_id: str
    project_id: str
    user_id: str | None
    key_id: str
    account_ids: tuple[str, ...]
    route: str
    model: str
    provider: str
    target_model: str
    price_id: str | None
    end_user: str | None = None
    tags: dict[str, str] = {}


class Claim(msgspec.Struct, frozen=True):
    """The caller's Idempotency-Key.

    Attributes:
        id: of the key's row in `idempotent_calls`.
        fingerprint: of what was asked.
    """

    id: str
    fingerprint: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a call asks of the balances.

    Attributes:
        bound: the most that it can cost.
        priced: whether its target has a price; under a hard budget it must.
        suspended: whether its target is closed to hard budgets.
    """

    bound: Bound
    priced: bool = True
    suspended: bool = False
    claim: Claim | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of a durable reservation. Whoever holds one must post it.

    Attributes:
        balance_ids: all balances that carry the bound.
        output: output tokens a choice that the provider must be held to, if the request itself
            does not say so.
        rates: what is left of the rate limits, if the call has any.
    """

    record: CallRecord
    admitted_at: datetime
    balance_ids: tuple[str, ...]
    bound_nano: int
    output: int | None = None
    rates: RateView | None = None


class Further(msgspec.Struct, frozen=True, kw_only=True):
    """What an open call asks of the balances for another try.

    Attributes:
        bound_nano: the most that the call can cost with it, in all.
        ask: of the try.
        output: the tokens that it may write a choice; None takes those of the ask.
        provider, target_model, price_id: of its target.
    """

    bound_nano: int
    ask: Ask
    output: int | None = None
    provider: str
    target_model: str
    price_id: str | None


class KeptResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response that its caller may come back to: what becomes of it a row of `stored_responses`.

    Attributes:
        id: as the caller was told it.
        kept_by: who has what was said: we, or the provider under the same id.
        content: encrypted; None when the provider keeps it.
        previous_id: the response that this one goes on from.
        life: in seconds, from the posting of the call.
    """

    id: str
    kept_by: Literal["torana", "provider"]
    content: bytes | None = None
    previous_id: str | None = None
    life: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended and what it cost: the other part of its ledger entry.

    Attributes:
        attempts: one mapping per try of a provider, in their order, each with its own cost.
        duration_ms, first_byte_ms: milliseconds since the request came in.
        answer: the encrypted answer to keep for the caller's Idempotency-Key.
        response: what to keep of the response, if its caller may come back to it.
    """

    status: Status
    counted: Counted
    usage: Usage
    cost_nano: int
    streamed: bool
    http_status: int
    provider: str
    target_model: str
    price_id: str | None
    error_code: str | None = None
    duration_ms: int = 0
    first_byte_ms: int | None = None
    provider_request_id: str | None = None
    attempts: list[dict[str, Any]] = []
    answer: bytes | None = None
    response: KeptResponse | None = None
    is_bare: bool = False

    def bare(self) -> Settlement:
        """The same without what others have written into it."""
        return msgspec.structs.replace(
            self,
            error_code="unwritable",
            provider_request_id=None,
            attempts=[],
            duration_ms=0,
            first_byte_ms=None,
            answer=None,
            response=None,
            is_bare=True,
        )
