"""The oracle: what the upstream simulator says it served, against ledger, balances and rollups."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.chaos.callers import Seen
from tests.chaos.upstream import Served
from torana.core.money import Price, cost
from torana.core.usage import Usage

_ENTRIES = """
SELECT call_id, seq, status, counted, cost_nano, bound_nano FROM ledger_entries ORDER BY call_id, seq
"""
_ACCOUNTS = """
SELECT b.scope_kind, b.spent_nano, b.reserved_nano, b.open_calls FROM balances b
WHERE b.scope_kind = 'organisation' AND b.budget_id = ''
"""
_TOLD = 20


@dataclass(frozen=True)
class Entry:
    """A row of the ledger."""

    seq: int
    status: str
    counted: str
    cost_nano: int
    bound_nano: int


@dataclass
class Audit:
    """What the books come to, and what is wrong with them.

    Attributes:
        bill: the simulator's.
        abandoned: calls that stand at their bound because their process was silent.
        corrected: calls that it has corrected when it woke.
        unheard: calls on the ledger that the simulator never saw.
    """

    calls: int = 0
    served: int = 0
    bill: int = 0
    ledger: int = 0
    balance: int = 0
    rollups: int = 0
    reserved: int = 0
    abandoned: int = 0
    abandoned_nano: int = 0
    corrected: int = 0
    at_bound: int = 0
    unheard: int = 0
    overspends: int = 0
    wrong: list[str] = field(default_factory=list)

    def complain(self) -> None:
        """Fail if anything is wrong."""
        assert not self.wrong, "\n".join([f"{len(self.wrong)} wrong:", *self.wrong[:_TOLD]])


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The state of a database in one snapshot."""

    calls: dict[str, list[Entry]]
    accounts: list[tuple[Any, ...]]
    rollups: int
    reservations: int
    overspends: int


def read(url: str) -> Rows:
    """Read all at one moment."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        calls: dict[str, list[Entry]] = defaultdict(list)
        for call_id, *values in connection.execute(_ENTRIES):
            calls[call_id].append(Entry(*values))
        return Rows(
            calls=dict(calls),
            accounts=connection.execute(_ACCOUNTS).fetchall(),
            rollups=_one(connection, "SELECT coalesce(sum(cost_nano), 0) FROM usage_rollups"),
            reservations=_one(connection, "SELECT count(*) FROM reservations"),
            overspends=_one(connection, "SELECT count(*) FROM chaos_overspends"),
        )


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def bills(served: Sequence[Served], price: Price) -> dict[str, int]:
    """What each call comes to by the simulator's journal, all of its tries together."""
    found: dict[str, int] = defaultdict(int)
    for call in served:
        usage = Usage(input_tokens=call.input_tokens, output_tokens=call.output_tokens)
        found[call.request_id] += cost(usage, price)
    return found


def audit(
    url: str, served: Sequence[Served], seen: Sequence[Seen], price: Price, *, exact: bool = False
) -> Audit:
    """Hold the books against the simulator's.

    Args:
        url: of the database.
        served: the simulator's journal.
        seen: what callers were told.
        price: of all models.
        exact: no call may be abandoned, corrected, counted at its bound or unheard of.
    """
    rows, billed = read(url), bills(served, price)
    result = Audit(
        calls=len(rows.calls),
        served=len(billed),
        bill=sum(billed.values()),
        ledger=sum(entry.cost_nano for call in rows.calls.values() for entry in call),
        balance=sum(account[1] for account in rows.accounts),
        rollups=rows.rollups,
        reserved=rows.reservations,
        overspends=rows.overspends,
    )
    wrong = result.wrong
    for call_id in billed.keys() - rows.calls.keys():
        wrong.append(f"{call_id} was served and is not on the ledger")
    for call_id, entries in rows.calls.items():
        wrong += [f"{call_id} {fault}" for fault in _faults(result, entries, billed.get(call_id))]
    for account in rows.accounts:
        if account[2] or account[3]:
            wrong.append(f"an account still holds {account}")
    if result.reserved:
        wrong.append(f"{result.reserved} calls are still reserved")
    if not result.ledger == result.balance == result.rollups:
        wrong.append(f"ledger {result.ledger}, {result.balance}, rollups {result.rollups}")
    if result.overspends:
        wrong.append(f"{result.overspends} committed states were over a limit")
    wrong += _broken_promises(rows, billed, seen)
    inexact = result.abandoned + result.corrected + result.at_bound + result.unheard
    if exact and (inexact or result.bill != result.ledger):
        wrong.append(f"{inexact} inexact calls; bill {result.bill}, ledger {result.ledger}")
    return result


def _faults(result: Audit, entries: list[Entry], bill: int | None) -> list[str]:
    """What is wrong with one call; counts it."""
    first, total = entries[0], sum(entry.cost_nano for entry in entries)
    faults = []
    if [entry.seq for entry in entries] not in ([0], [0, 1]):
        faults.append(f"has entries {entries}")
    if len(entries) == 2 and first.status != "abandoned":
        faults.append(f"was corrected without having been abandoned: {entries}")
    if total > first.bound_nano:
        faults.append(f"costs {total} above its bound {first.bound_nano}")
    last = entries[-1]
    stays_abandoned = last.status == "abandoned"
    if stays_abandoned:
        result.abandoned += 1
        result.abandoned_nano += total
    elif last.counted == "bound":
        result.at_bound += 1
    result.corrected += len(entries) == 2
    if bill is None:
        result.unheard += 1
        if total and not stays_abandoned and last.counted != "bound":
            faults.append(f"costs {total} and the provider never saw it: {entries}")
    elif total < bill:
        faults.append(f"costs {total}, less than the provider's {bill}")
    elif total != bill and not stays_abandoned and last.counted != "bound":
        faults.append(f"costs {total}, the provider bills {bill}: {entries}")
    return faults


def _broken_promises(rows: Rows, billed: dict[str, int], seen: Sequence[Seen]) -> list[str]:
    """Where callers were told something else than what is on the books."""
    wrong = []
    told: Counter[str] = Counter(call.request_id for call in seen if call.request_id)
    wrong += [f"{name} was answered {count} times" for name, count in told.items() if count > 1]
    for call in seen:
        if not call.request_id:
            continue
        entries = rows.calls.get(call.request_id)
        if call.whole:
            total = None if entries is None else sum(entry.cost_nano for entry in entries)
            if total != billed.get(call.request_id):
                wrong.append(f"{call.request_id} was answered and posted as {entries}")
        elif call.status == 429 and (entries or call.request_id in billed):
            wrong.append(f"{call.request_id} was refused and is on the books: {entries}")
        elif call.status == 503 and call.request_id in billed:
            wrong.append(f"{call.request_id} was turned away and sent to the provider")
    return wrong
