"""The judgement of a batch of admissions and posts: a pure function over balances.

The teller locks the balance rows, calls `decide`, and writes what it says in the same transaction.
Nothing here reads a clock, a setting or a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Balance(msgspec.Struct):
    """The money side of a balance row; `decide` changes these in place.

    Attributes:
        limit_nano: the most that may be spent, None for no limit.
        spent_nano: the sum of posted costs.
        reserved_nano: the sum of the bounds of open calls.
        open_calls: how many calls are open.
        blocked: why the scope may not call at all (`revoked`, `suspended`), else None.
    """

    id: str
    scope_kind: str
    scope_id: str
    limit_nano: int | None
    spent_nano: int
    reserved_nano: int
    open_calls: int
    blocked: str | None


class Admit(msgspec.Struct, frozen=True):
    """A call asks to be let in; `bound_nano` is the most that it can cost."""

    call_id: str
    balance_ids: tuple[str, ...]
    bound_nano: int


class Post(msgspec.Struct, frozen=True):
    """A call is over; its reservation of `bound_nano` becomes `cost_nano`."""

    call_id: str
    balance_ids: tuple[str, ...]
    bound_nano: int
    cost_nano: int


class Refusal(StrEnum):
    """Why a call is not let in."""

    BLOCKED = "blocked"
    BUDGET = "budget"
    RESERVED = "reserved"
    UNKNOWN_BALANCE = "unknown_balance"


class Admitted(msgspec.Struct, frozen=True):
    """The call may go on; its reservation is written."""


class Refused(msgspec.Struct, frozen=True):
    """The call may not go on; nothing was consumed.

    Attributes:
        scope_kind, scope_id: the scope that refused.
        detail: the balance's `blocked` word, for `Refusal.BLOCKED`.
        limit_nano, used_nano: the limit and what counts against it, for the money refusals.
    """

    reason: Refusal
    scope_kind: str = ""
    scope_id: str = ""
    detail: str = ""
    limit_nano: int = 0
    used_nano: int = 0


class Posted(msgspec.Struct, frozen=True):
    """The reservation was released and the ledger entry written."""


class AlreadyPosted(msgspec.Struct, frozen=True):
    """The call has no reservation: an earlier try to post it did commit. Nothing is written."""


Item: TypeAlias = Admit | Post
Outcome: TypeAlias = Admitted | Refused | Posted | AlreadyPosted

ADMITTED = Admitted()
POSTED = Posted()
ALREADY_POSTED = AlreadyPosted()


def decide(
    balances: Mapping[str, Balance], items: Sequence[Item], released: frozenset[str] | set[str]
) -> list[Outcome]:
    """Judge `items` one after another, each seeing what those before it did.

    Args:
        balances: the locked rows by id; changed in place.
        items: admissions and posts in the order in which they came.
        released: calls whose reservation this transaction has deleted.

    Returns:
        One outcome per item, in their order.
    """
    unposted = set(released)
    return [
        _admit(balances, item) if isinstance(item, Admit) else _post(balances, item, unposted)
        for item in items
    ]


def _admit(balances: Mapping[str, Balance], item: Admit) -> Outcome:
    rows = []
    for balance_id in item.balance_ids:
        row = balances.get(balance_id)
        if row is None:
            return Refused(Refusal.UNKNOWN_BALANCE, scope_id=balance_id)
        rows.append(row)
    for row in rows:
        refusal = _refusal(row, item.bound_nano)
        if refusal is not None:
            return refusal
    for row in rows:
        row.reserved_nano += item.bound_nano
        row.open_calls += 1
    return ADMITTED


def _refusal(row: Balance, bound: int) -> Refused | None:
    if row.blocked is not None:
        return Refused(Refusal.BLOCKED, row.scope_kind, row.scope_id, detail=row.blocked)
    if row.limit_nano is None or row.spent_nano + row.reserved_nano + bound <= row.limit_nano:
        return None
    # Open calls may cost less than their bounds; only what is spent stays spent.
    final = row.spent_nano + bound > row.limit_nano
    return Refused(
        Refusal.BUDGET if final else Refusal.RESERVED,
        row.scope_kind,
        row.scope_id,
        limit_nano=row.limit_nano,
        used_nano=row.spent_nano if final else row.spent_nano + row.reserved_nano,
    )


def _post(balances: Mapping[str, Balance], item: Post, unposted: set[str]) -> Outcome:
    if item.call_id not in unposted:
        return ALREADY_POSTED
    unposted.discard(item.call_id)
    for balance_id in item.balance_ids:
        row = balances.get(balance_id)
        # A scope may be deleted while a call of it is open; its ledger entry stays.
        if row is not None:
            row.reserved_nano -= item.bound_nano
            row.open_calls -= 1
            row.spent_nano += item.cost_nano
    return POSTED
