"""Balances, items and a book in few words, for the tests of the judgement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from torana.core.money import UNITS
from torana.ledger.decide import Balance, Book, OpenCall, decide
from torana.ledger.items import Admit, Item, Outcome, Post
from torana.ledger.terms import BudgetTerms, Terms

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
Figures = tuple[int, int, int]


def at(seconds: float) -> datetime:
    """So many seconds after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def balance(identifier: str = "bal_1", kind: str = "key", **columns: Any) -> Balance:
    """An account; what is left out of `limit`, `spent`, `reserved` and so on is nothing."""
    terms = {
        name: columns.pop(name)
        for name in ("rpm", "tpm", "concurrency", "models")
        if name in columns
    }
    return Balance(
        id=identifier,
        scope_kind=kind,
        scope_id=f"{kind}_1",
        limit_nano=columns.get("limit"),
        spent_nano=columns.get("spent", 0),
        reserved_nano=columns.get("reserved", 0),
        open_calls=columns.get("open_calls", 0),
        blocked=columns.get("blocked"),
        request_tat=columns.get("request_tat", 0),
        token_tat=columns.get("token_tat", 0),
        terms=Terms(**terms),
    )


def window(identifier: str = "bal_w", kind: str = "key", **columns: Any) -> Balance:
    """The present window of a budget."""
    names = ("mode", "thresholds", "models", "raise_nano", "raise_until")
    terms = {name: columns.pop(name) for name in names if name in columns}
    row = balance(identifier, kind, **columns)
    row.budget_id = f"bud_{identifier}"
    row.window_start, row.window_end = START, END
    row.terms = Terms(budget=BudgetTerms(amount_nano=row.limit_nano or 0, period="month", **terms))
    return row


def book_of(rows: Iterable[Balance], *, now: datetime = NOW, **contents: Any) -> Book:
    return Book(now, {row.id: row for row in rows}, **contents)


def judge(rows: list[Balance], *items: Item, now: datetime = NOW, **contents: Any) -> list[Outcome]:
    return decide(book_of(rows, now=now, **contents), items)


def figures(row: Balance) -> Figures:
    return row.spent_nano, row.reserved_nano, row.open_calls


def admit(bound: int, *balance_ids: str, call: str = "req_1", **fields: Any) -> Admit:
    """A call of so many nano-dollars at most."""
    return Admit(call_id=call, balance_ids=balance_ids or ("bal_1",), fixed=bound * UNITS, **fields)


def writes(output: int, *balance_ids: str, fixed: int = 0, price: int = 1, **fields: Any) -> Admit:
    """A call that may write so many tokens at so many nano-dollars each."""
    return Admit(
        call_id=fields.pop("call", "req_1"),
        balance_ids=balance_ids or ("bal_w",),
        fixed=fixed * UNITS,
        per_output=price * UNITS,
        output=output,
        **fields,
    )


def post(cost: int, call: str = "req_1", **fields: Any) -> Post:
    return Post(call, cost, **fields)


def opened(
    bound: int, *balance_ids: str, call: str = "req_1", **fields: Any
) -> dict[str, OpenCall]:
    """The reservation of a call."""
    return {call: OpenCall(balance_ids or ("bal_1",), bound, **fields)}
