"""What the books must say, in the plainest way: a list of calls and a list of budgets.

Every figure is summed up anew from the calls, each time it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from torana.ledger.records import CallRecord
from torana.ledger.terms import BudgetTerms
from torana.ledger.windows import limit_at, window_at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


@dataclass
class Call:
    """An admitted call.

    Attributes:
        posted: what its ledger entries sum to; None while it is open.
        is_abandoned: the sweeper has posted it, and nobody has corrected it.
    """

    record: CallRecord
    admitted_at: datetime
    bound: int
    owner_id: str
    posted: int | None = None
    is_abandoned: bool = False


@dataclass
class ModelBudget:
    """A budget, or a template of budgets."""

    scope_kind: str
    scope_id: str
    terms: BudgetTerms

    def scope_of(self, scopes: list[tuple[str, str]]) -> tuple[str, str] | None:
        """Which of a call's scopes it limits."""
        for kind, scope_id in scopes:
            stands_for = self.scope_id.endswith("*") and scope_id.startswith(self.scope_id[:-1])
            if kind == self.scope_kind and (scope_id == self.scope_id or stands_for):
                return kind, scope_id
        return None


@dataclass
class Model:
    """All calls and budgets."""

    memberships: dict[str, str]
    calls: dict[str, Call] = field(default_factory=dict)
    budgets: dict[str, ModelBudget] = field(default_factory=dict)

    def scopes(self, record: CallRecord) -> list[tuple[str, str]]:
        """All scopes that a call belongs to."""
        found = [
            ("key", record.key_id),
            ("project", record.project_id),
            ("organisation", record.organisation_id),
        ]
        if record.user_id is not None:
            found.append(("user", self.memberships[record.user_id]))
        for anchor in (record.project_id, record.organisation_id):
            if record.end_user is not None:
                found.append(("end_user", f"{anchor}/{record.end_user}"))
            found += [("tag", f"{anchor}/{name}={value}") for name, value in record.tags.items()]
        return found

    def within(
        self, scope: tuple[str, str], start: datetime, end: datetime | None
    ) -> Iterator[Call]:
        for call in self.calls.values():
            in_time = start <= call.admitted_at and (end is None or call.admitted_at < end)
            if in_time and scope in self.scopes(call.record):
                yield call

    def figures(
        self, scope: tuple[str, str], start: datetime, end: datetime | None
    ) -> tuple[int, int, int]:
        """Spent, reserved and open calls of a scope in a window."""
        spent = reserved = count = 0
        for call in self.within(scope, start, end):
            if call.posted is None:
                reserved += call.bound
                count += 1
            else:
                spent += call.posted
        return spent, reserved, count

    def rooms(self, record: CallRecord, now: datetime) -> Iterator[tuple[str, int]]:
        """Of each budget that judges a call: its mode, and how much may still be reserved."""
        now_us = microseconds(now)
        for budget in self.budgets.values():
            scope = budget.scope_of(self.scopes(record))
            if scope is None:
                continue
            start, end = window_at(budget.terms, now_us)
            spent, reserved, _ = self.figures(
                scope,
                EPOCH + timedelta(microseconds=start),
                None if end is None else EPOCH + timedelta(microseconds=end),
            )
            yield budget.terms.mode, limit_at(budget.terms, now_us) - spent - reserved

    def allowed(self, record: CallRecord, now: datetime, fixed: int, output: int) -> int | None:
        """The output tokens of a call that costs one nano-dollar each; None when it is refused."""
        rooms = list(self.rooms(record, now))
        clamped = min([room for mode, room in rooms if mode == "clamp"], default=None)
        if clamped is not None and fixed + output > clamped:
            output = clamped - fixed
            if output < 1:
                return None
        fits = all(fixed + output <= room for mode, room in rooms if mode == "refuse")
        return output if fits else None
