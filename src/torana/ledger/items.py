"""What the teller is asked and what it answers, as values."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec

from torana.core.money import UNITS
from torana.core.rates import RateView
from torana.ledger.records import Claim


class Admit(msgspec.Struct, frozen=True, kw_only=True):
    """A call asks to be let in.

    Attributes:
        balance_ids: the accounts and windows that judge it.
        fixed, per_output, output, capped: its bound, see `torana.ledger.bounds.Bound`.
        tokens: what it takes of token rates.
        unruled: fields whose cost nothing is known of.
    """

    call_id: str
    balance_ids: tuple[str, ...]
    fixed: int
    per_output: int = 0
    output: int = 0
    capped: bool = False
    tokens: int = 0
    model: str = ""
    priced: bool = True
    suspended: bool = False
    unruled: tuple[str, ...] = ()
    claim: Claim | None = None

    def nano(self, output: int) -> int:
        """The bound for so many output tokens a choice, in nano-dollars."""
        return -(-(self.fixed + self.per_output * output) // UNITS)


class Extend(msgspec.Struct, frozen=True, kw_only=True):
    """An open call makes another try, perhaps elsewhere.

    Attributes:
        bound_nano: its new bound in all.
        output, capped, priced, suspended, unruled: of the try, as of an admission.
    """

    call_id: str
    bound_nano: int
    output: int = 0
    capped: bool = False
    priced: bool = True
    suspended: bool = False
    unruled: tuple[str, ...] = ()


class Post(msgspec.Struct, frozen=True):
    """A call is over, and its reservation becomes `cost_nano`.

    Attributes:
        tokens: what it used, for token rates.
        corrects: when the sweeper has posted it already, the difference is posted.
        answered: it has an answer to keep for its Idempotency-Key.
    """

    call_id: str
    cost_nano: int
    tokens: int = 0
    corrects: bool = True
    answered: bool = False


class Refusal(StrEnum):
    """Why a call is not let in."""

    BLOCKED = "blocked"
    MODEL = "model"
    REQUESTS = "requests"
    TOKENS = "tokens"
    TOO_MANY_TOKENS = "too_many_tokens"
    CONCURRENCY = "concurrency"
    BUDGET = "budget"
    RESERVED = "reserved"
    UNPRICED = "unpriced"
    UNRULED = "unruled"
    SUSPENDED_TARGET = "suspended_target"
    OTHER_REQUEST = "other_request"
    IN_FLIGHT = "in_flight"
    UNKNOWN_BALANCE = "unknown_balance"


class Admitted(msgspec.Struct, frozen=True):
    """The call may go on; its reservation is written.

    Attributes:
        output: output tokens a choice that the provider must be held to, if the request itself
            does not say so.
        rates: what is left of the rate limits.
    """

    bound_nano: int
    output: int | None = None
    rates: RateView | None = None


class Refused(msgspec.Struct, frozen=True):
    """The call may not go on; nothing was consumed.

    Attributes:
        scope_kind, scope_id, budget_id: what refused.
        detail: the `blocked` word, the model or the fields, where that is the reason.
        limit, used, needed: in nano-dollars, requests, tokens or calls.
        wait_seconds: until a rate would let it in.
        until: when the budget's window ends.
        rates: what is left of the rate that refused.
    """

    reason: Refusal
    scope_kind: str = ""
    scope_id: str = ""
    budget_id: str = ""
    detail: str = ""
    limit: int = 0
    used: int = 0
    needed: int = 0
    wait_seconds: float = 0.0
    until: datetime | None = None
    rates: RateView | None = None


class Replayed(msgspec.Struct, frozen=True):
    """The caller's Idempotency-Key has an answer already: that of `call_id`."""

    call_id: str


class Unopened(msgspec.Struct, frozen=True):
    """An end user or tag has no account yet, and a template wants one; nothing was consumed."""

    scope_kind: str
    scope_id: str
    anchor_id: str


class Extended(msgspec.Struct, frozen=True):
    """Another try is reserved.

    Attributes:
        bound_nano: what the call has reserved now, in all.
        output: see `Admitted.output`.
    """

    bound_nano: int
    output: int | None = None


class Gone(msgspec.Struct, frozen=True):
    """The call has no reservation any more: the sweeper has posted it."""


class Posted(msgspec.Struct, frozen=True):
    """The reservation was released and the ledger entry written.

    Attributes:
        bound_nano: what was reserved at last.
        idempotency_id: the claim that ends with it.
    """

    bound_nano: int
    idempotency_id: str | None = None


class Corrected(msgspec.Struct, frozen=True):
    """The sweeper had posted the call; the difference was written as a correction."""

    difference_nano: int


class AlreadyPosted(msgspec.Struct, frozen=True):
    """The call has no reservation: an earlier try to post it did commit. Nothing is written."""


Item: TypeAlias = Admit | Extend | Post
Outcome: TypeAlias = (
    Admitted | Refused | Replayed | Unopened | Extended | Gone | Posted | Corrected | AlreadyPosted
)

ALREADY_POSTED = AlreadyPosted()
