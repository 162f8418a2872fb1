"""The judgement of a batch of admissions, extensions and posts: a pure function over balances.

The teller locks the balance rows, calls `decide`, and writes what it says in the same transaction.
Nothing here reads a clock, a setting or a table. Items are judged one after another, each seeing
what those before it did; a refused item leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from torana.core import rates
from torana.core.clock import microseconds
from torana.core.money import UNITS
from torana.core.rates import RateView
from torana.ledger.items import (
    ALREADY_POSTED,
    Admit,
    Admitted,
    Corrected,
    Extend,
    Extended,
    Gone,
    Item,
    Outcome,
    Post,
    Posted,
    Refusal,
    Refused,
    Replayed,
)
from torana.ledger.terms import NO_TERMS, Terms, allows

_LEAST_OUTPUT = 1
"""Output tokens below which a clamped call is refused instead."""


FIGURES = (
    "spent_nano",
    "reserved_nano",
    "open_calls",
    "request_tat",
    "token_tat",
    "notified",
)
"""The columns of a balance that a judgement changes, in the order of `Balance.figures`."""


class Balance(msgspec.Struct):
    """A locked balance row; `decide` changes these in place.

    Attributes:
        budget_id: empty for an account.
        limit_nano: the most that may be spent, without a raise; None for no limit.
        spent_nano: the sum of posted costs.
        reserved_nano: the sum of the bounds of open calls.
        open_calls: how many calls are open.
        blocked: why the scope may not call at all (`revoked`, `suspended`), else None.
        request_tat, token_tat: see `torana.core.rates`.
        notified: the highest threshold that an event was written for.
    """

    id: str
    scope_kind: str
    scope_id: str
    limit_nano: int | None
    spent_nano: int
    reserved_nano: int
    open_calls: int
    blocked: str | None
    budget_id: str = ""
    window_start: datetime | None = None
    window_end: datetime | None = None
    request_tat: int = 0
    token_tat: int = 0
    notified: int = 0
    terms: Terms = NO_TERMS

    def limit_at(self, now_us: int) -> int | None:
        """The most that may be spent, with a raise that still holds."""
        budget = self.terms.budget
        if self.limit_nano is None or budget is None:
            return self.limit_nano
        return self.limit_nano + budget.raise_at(now_us)

    def figures(self) -> tuple[int, int, int, int, int, int]:
        """The values of `FIGURES`."""
        return (
            self.spent_nano,
            self.reserved_nano,
            self.open_calls,
            self.request_tat,
            self.token_tat,
            self.notified,
        )


class OpenCall(msgspec.Struct):
    """A reservation, as far as a judgement needs it."""

    balance_ids: tuple[str, ...]
    bound_nano: int
    tokens: int = 0
    idempotency_id: str | None = None


class ClaimRow(msgspec.Struct):
    """What an Idempotency-Key stands for at present."""

    fingerprint: str
    call_id: str
    is_answered: bool


class Abandoned(msgspec.Struct, frozen=True):
    """A call that the sweeper has posted in its process's stead: what a correction starts from.

    Attributes:
        cost_nano: what it was posted with.
        balance_ids: the balances whose window has the call's instant of admission.
    """

    cost_nano: int
    balance_ids: tuple[str, ...]


class Threshold(msgspec.Struct, frozen=True):
    """A budget's spending has reached a threshold."""

    balance: Balance
    percent: int
    spent_nano: int
    limit_nano: int


class Book(msgspec.Struct):
    """All that a transaction has locked and found.

    Attributes:
        now: the database's time after the locks were taken.
        balances: the locked rows by id.
        open: reservations: of the posts, which this transaction has deleted, and of the extensions.
        claims: by id, those that have not expired.
        abandoned: posted by the sweeper, of the posts that have no reservation.
        thresholds: filled by the judgement.
    """

    now: datetime
    balances: dict[str, Balance]
    open: dict[str, OpenCall] = {}
    claims: dict[str, ClaimRow] = {}
    abandoned: dict[str, Abandoned] = {}
    thresholds: list[Threshold] = []


def decide(book: Book, items: Sequence[Item]) -> list[Outcome]:
    """Judge `items` in the order in which they came.

    Args:
        book: changed in place.
        items: admissions, extensions and posts.

    Returns:
        One outcome per item, in their order.
    """
    now_us = microseconds(book.now)
    outcomes: list[Outcome] = []
    for item in items:
        if isinstance(item, Admit):
            outcomes.append(_admit(book, item, now_us))
        elif isinstance(item, Post):
            outcomes.append(_post(book, item, now_us))
        else:
            outcomes.append(_extend(book, item, now_us))
    return outcomes


# --- admissions --------------------------------------------------------------------------------


def _admit(book: Book, item: Admit, now_us: int) -> Outcome:
    rows = []
    for balance_id in item.balance_ids:
        row = book.balances.get(balance_id)
        if row is None:
            return Refused(Refusal.UNKNOWN_BALANCE, scope_id=balance_id)
        rows.append(row)
    accounts = [row for row in rows if not row.budget_id]
    limited = [row for row in rows if row.limit_nano is not None]
    found = (
        _first(_barred, rows, item, now_us)
        or _claimed(book, item)  # A repetition takes nothing of any limit.
        or _first(_over_rate, accounts, item, now_us)
    )
    if found is not None:
        return found
    fit = _fit(limited, item, now_us)
    if isinstance(fit, Refused):
        return fit
    bound_nano = item.nano(fit)
    for row in rows:
        row.reserved_nano += bound_nano
        row.open_calls += 1
    if item.claim is not None:
        book.claims[item.claim.id] = ClaimRow(item.claim.fingerprint, item.call_id, False)
    # What the caller did not limit itself, a hard budget must.
    output = fit if fit < item.output or (item.capped and limited) else None
    return Admitted(bound_nano, output, _take_rates(accounts, item, now_us))


def _first(
    judge: Callable[[Balance, Admit, int], Refused | None],
    rows: Sequence[Balance],
    item: Admit,
    now_us: int,
) -> Refused | None:
    """What the first row says that refuses."""
    for row in rows:
        refused = judge(row, item, now_us)
        if refused is not None:
            return refused
    return None


def _claimed(book: Book, item: Admit) -> Outcome | None:
    if item.claim is None:
        return None
    row = book.claims.get(item.claim.id)
    if row is None:
        return None
    if row.fingerprint != item.claim.fingerprint:
        return Refused(Refusal.OTHER_REQUEST)
    return Replayed(row.call_id) if row.is_answered else Refused(Refusal.IN_FLIGHT)


def _barred(row: Balance, item: Admit, _now_us: int) -> Refused | None:
    if row.blocked is not None:
        return Refused(Refusal.BLOCKED, row.scope_kind, row.scope_id, detail=row.blocked)
    budget = row.terms.budget
    models = row.terms.models if budget is None else budget.models
    if models is not None and not allows(models, item.model):
        return Refused(Refusal.MODEL, row.scope_kind, row.scope_id, detail=item.model)
    return None


def _over_rate(row: Balance, item: Admit, now_us: int) -> Refused | None:
    terms, now = row.terms, now_us * 1000
    if terms.rpm is terms.tpm is terms.concurrency is None:
        return None
    for reason, limit, tat, units in (
        (Refusal.REQUESTS, terms.rpm, row.request_tat, 1),
        (Refusal.TOKENS, terms.tpm, row.token_tat, item.tokens),
    ):
        if limit is None:
            continue
        waited = rates.wait(tat, now, limit, units)
        if waited:
            return Refused(
                reason if units <= limit else Refusal.TOO_MANY_TOKENS,
                row.scope_kind,
                row.scope_id,
                limit=limit,
                used=limit - rates.rate(tat, now, limit).remaining,
                wait_seconds=waited / rates.SECOND,
                rates=_view([row], now),
            )
    if terms.concurrency is not None and row.open_calls >= terms.concurrency:
        return Refused(
            Refusal.CONCURRENCY,
            row.scope_kind,
            row.scope_id,
            limit=terms.concurrency,
            used=row.open_calls,
        )
    return None


def _fit(rows: Sequence[Balance], item: Admit, now_us: int) -> int | Refused:
    """The output tokens that all budgets have room for, or why there is none.

    What the clamping budgets leave of a call is what the others must have room for, in whatever
    order its balances come.
    """
    output = item.output
    for row in sorted(rows, key=_clamps, reverse=True):
        limit = row.limit_at(now_us)
        if limit is None:
            continue
        unknown = _unknown_cost(row, item)
        if unknown is not None:
            return unknown
        room = limit - row.spent_nano - row.reserved_nano
        if item.nano(output) <= room:
            continue
        clamps = _clamps(row) and item.per_output > 0
        least = item.nano(_LEAST_OUTPUT if clamps else output)
        if least > room:
            # Open calls may cost less than their bounds; only what is spent stays spent.
            final = row.spent_nano + least > limit
            return Refused(
                Refusal.BUDGET if final else Refusal.RESERVED,
                row.scope_kind,
                row.scope_id,
                budget_id=row.budget_id,
                limit=limit,
                used=row.spent_nano if final else row.spent_nano + row.reserved_nano,
                needed=least,
                until=row.window_end,
            )
        output = (room * UNITS - item.fixed) // item.per_output
    return output


def _clamps(row: Balance) -> bool:
    budget = row.terms.budget
    return budget is not None and budget.mode == "clamp"


def _unknown_cost(row: Balance, item: Admit | Extend) -> Refused | None:
    """Under a hard budget, what a call can cost must be known before it is made."""
    for unknown, reason, detail in (
        (not item.priced, Refusal.UNPRICED, ""),
        (item.suspended, Refusal.SUSPENDED_TARGET, ""),
        (bool(item.unruled), Refusal.UNRULED, ", ".join(item.unruled)),
    ):
        if unknown:
            return Refused(reason, row.scope_kind, row.scope_id, detail=detail)
    return None


def _take_rates(rows: Sequence[Balance], item: Admit, now_us: int) -> RateView | None:
    now = now_us * 1000
    for row in rows:
        if row.terms.rpm is not None:
            row.request_tat = rates.taken(row.request_tat, now, row.terms.rpm, 1)
        if row.terms.tpm is not None:
            row.token_tat = rates.taken(row.token_tat, now, row.terms.tpm, item.tokens)
    return _view(rows, now)


def _view(rows: Sequence[Balance], now: int) -> RateView | None:
    requests = tokens = None
    for row in rows:
        if row.terms.rpm is not None:
            requests = rates.tighter(requests, rates.rate(row.request_tat, now, row.terms.rpm))
        if row.terms.tpm is not None:
            tokens = rates.tighter(tokens, rates.rate(row.token_tat, now, row.terms.tpm))
    return None if requests is tokens is None else RateView(requests, tokens)


# --- extensions and posts ----------------------------------------------------------------------


def _extend(book: Book, item: Extend, now_us: int) -> Outcome:
    call = book.open.get(item.call_id)
    if call is None:
        return Gone()
    rows = [book.balances[name] for name in call.balance_ids if name in book.balances]
    # An earlier try of this extension may have committed; then there is nothing more to reserve.
    more = max(item.bound_nano - call.bound_nano, 0)
    limited = False
    for row in rows:
        limit = row.limit_at(now_us)
        if limit is None:
            continue
        limited = True
        unknown = _unknown_cost(row, item)
        if unknown is not None:
            return unknown
        if more and row.spent_nano + row.reserved_nano + more > limit:
            return Refused(
                Refusal.BUDGET,
                row.scope_kind,
                row.scope_id,
                budget_id=row.budget_id,
                limit=limit,
                used=row.spent_nano + row.reserved_nano,
                needed=more,
            )
    for row in rows:
        row.reserved_nano += more
    call.bound_nano += more
    return Extended(call.bound_nano, item.output if item.capped and limited else None)


def _post(book: Book, item: Post, now_us: int) -> Outcome:
    call = book.open.pop(item.call_id, None)
    if call is None:
        return _correct(book, item, now_us)
    for balance_id in call.balance_ids:
        row = book.balances.get(balance_id)
        # A budget may be deleted while a call of it is open; the call's entry stays.
        if row is None:
            continue
        row.reserved_nano -= call.bound_nano
        row.open_calls -= 1
        if row.terms.tpm is not None:
            row.token_tat += rates.span(item.tokens - call.tokens, row.terms.tpm)
        _spend(book, row, item.cost_nano, now_us)
    if call.idempotency_id is not None:
        _end_claim(book, call.idempotency_id, item)
    return Posted(call.bound_nano, call.idempotency_id)


def _end_claim(book: Book, claim_id: str, item: Post) -> None:
    """Let an Idempotency-Key stand for its answer at once: this batch may hold a repetition."""
    claim = book.claims.get(claim_id)
    if claim is None or claim.call_id != item.call_id:
        return
    if item.answered:
        claim.is_answered = True
    else:
        del book.claims[claim_id]


def _correct(book: Book, item: Post, now_us: int) -> Outcome:
    """The sweeper was there first: what it posted too much or too little is added."""
    abandoned = book.abandoned.pop(item.call_id, None)
    if abandoned is None or not item.corrects:
        return ALREADY_POSTED
    difference = item.cost_nano - abandoned.cost_nano
    for balance_id in abandoned.balance_ids:
        row = book.balances.get(balance_id)
        if row is not None:
            _spend(book, row, difference, now_us)
    return Corrected(difference)


def _spend(book: Book, row: Balance, amount: int, now_us: int) -> None:
    row.spent_nano += amount
    budget, limit = row.terms.budget, row.limit_at(now_us)
    if budget is None or not limit:
        return
    percent = row.spent_nano * 100 // limit
    for threshold in budget.thresholds:
        if row.notified < threshold <= percent:
            row.notified = threshold
            book.thresholds.append(Threshold(row, threshold, row.spent_nano, limit))
