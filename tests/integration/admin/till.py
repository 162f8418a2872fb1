"""Calls that are admitted and posted as the teller does it, row by row, under the same locks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from torana.admin.keys import create_key
from torana.auth.api_keys import KeyRing
from torana.core.ids import new_id
from torana.core.usage import CLASSES
from torana.db.models import Balance, LedgerEntry, Reservation, UsageRollup
from torana.db.session import Database
from torana.ledger.locking import database_now, locked_wholly
from torana.ledger.rollups import sums_of
from torana.ledger.spent import of_scope
from torana.ledger.terms import read_terms

NANO = 1_000_000_000


class Till:
    """A key, and calls of it."""

    def __init__(self, database: Database, **options: Any) -> None:
        self.database = database
        self.made = create_key(
            database, **({"project": "default", "name": new_id("key")} | options)
        )
        self.caller = KeyRing(database).authenticate(self.made.key)

    def admit(
        self,
        bound: int,
        *,
        end_user: str | None = None,
        tags: dict[str, str] | None = None,
        ago: timedelta = timedelta(0),
    ) -> str:
        """Reserve a bound on all accounts and their present windows; the call's id."""
        call_id = new_id("req")
        texts = {("end_user", end_user)} | {("tag", f"{k}={v}") for k, v in (tags or {}).items()}
        with self.database.write() as session:
            ids = self._lock(session, {(kind, text) for kind, text in texts if text is not None})
            add(session, ids, reserved=bound, calls=1)
            session.execute(
                insert(Reservation).values(
                    call_id=call_id,
                    owner_id="own_test",
                    admitted_at=database_now(session) - ago,
                    balance_ids=sorted(ids),
                    bound_nano=bound,
                    organisation_id=self.caller.organisation_id,
                    project_id=self.caller.project_id,
                    user_id=self.caller.user_id,
                    key_id=self.caller.key_id,
                    end_user=end_user,
                    tags=tags or {},
                    route="r",
                    model="m",
                    provider="p",
                    target_model="t",
                )
            )
        return call_id

    def post(self, call_id: str, cost: int) -> None:
        """Release the reservation of a call and write its entry."""
        with self.database.write() as session:
            reserved = select(Reservation.balance_ids).where(Reservation.call_id == call_id)
            locked_wholly(session, lambda: set(session.scalars(reserved).one()))
            row = session.scalars(
                select(Reservation)
                .where(Reservation.call_id == call_id)
                .execution_options(populate_existing=True)
            ).one()
            add(session, row.balance_ids, spent=cost, reserved=-row.bound_nano, calls=-1)
            write_entry(session, row, cost)
            session.execute(delete(Reservation).where(Reservation.call_id == call_id))

    def spend(self, cost: int, **more: Any) -> None:
        """A whole call."""
        self.post(self.admit(cost, **more), cost)

    def _lock(self, session: Session, texts: set[tuple[str, str]]) -> set[str]:
        def wanted() -> set[str]:
            ids = set(self.caller.account_ids)
            anchors = [
                f"{anchor}/{text}"
                for anchor in (self.caller.project_id, self.caller.organisation_id)
                for _, text in texts
            ]
            ids.update(
                session.scalars(
                    select(Balance.id).where(
                        Balance.scope_kind.in_([kind for kind, _ in texts]),
                        Balance.scope_id.in_(anchors),
                        Balance.budget_id == "",
                    )
                )
            )
            rows = session.execute(select(Balance.terms).where(Balance.id.in_(ids))).scalars()
            return ids.union(*(read_terms(terms).windows for terms in rows))

        return set(locked_wholly(session, wanted))


def add(session: Session, ids: Any, *, spent: int = 0, reserved: int = 0, calls: int = 0) -> None:
    session.execute(
        update(Balance)
        .where(Balance.id.in_(ids))
        .values(
            spent_nano=Balance.spent_nano + spent,
            reserved_nano=Balance.reserved_nano + reserved,
            open_calls=Balance.open_calls + calls,
        )
    )


def write_entry(session: Session, row: Reservation, cost: int) -> None:
    entry: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            *("admitted_at", "call_id", "organisation_id", "project_id", "user_id", "key_id"),
            *("end_user", "tags", "route", "model", "provider", "target_model", "bound_nano"),
        )
    }
    entry |= dict.fromkeys(CLASSES, 0) | {
        "seq": 0,
        "posted_at": row.admitted_at,
        "status": "ok",
        "counted": "provider",
        "cost_nano": cost,
        "streamed": False,
        "http_status": 200,
        "duration_ms": 1,
        "attempts": [],
    }
    session.execute(insert(LedgerEntry).values(**entry))
    for sums in sums_of([entry]):
        found = session.get(UsageRollup, (sums["bucket_start"], sums["digest"]))
        if found is None:
            session.execute(insert(UsageRollup).values(**sums))
        else:
            found.calls += sums["calls"]
            found.cost_nano += sums["cost_nano"]


def windows_of(database: Database, budget_id: str) -> list[Balance]:
    """The windows of a budget, oldest first."""
    with database.read() as session:
        rows = select(Balance).where(Balance.budget_id == budget_id)
        return list(session.scalars(rows.order_by(Balance.window_start, Balance.scope_id)))


def account(database: Database, scope_id: str) -> Balance:
    """The account of a scope."""
    with database.read() as session:
        return session.scalars(
            select(Balance).where(Balance.scope_id == scope_id, Balance.budget_id == "")
        ).one()


def assert_exact(database: Database) -> None:
    """Every balance is what the ledger's entries and the open reservations say, row by row."""
    with database.read() as session:
        rows = list(session.scalars(select(Balance)))
        listed = {
            window for row in rows if not row.budget_id for window in read_terms(row.terms).windows
        }
        assert listed <= {row.id for row in rows}
        for row in rows:
            assert row.spent_nano == _spent(session, row), (row.scope_kind, row.budget_id)
            within = select(Reservation).where(_within(session, Reservation, row))
            holding = list(session.scalars(within))
            assert all(row.id in call.balance_ids for call in holding), row.scope_kind
            assert row.reserved_nano == sum(call.bound_nano for call in holding)
            assert row.open_calls == len(holding)
        known = {row.id for row in rows}
        for call in session.scalars(select(Reservation)):
            assert set(call.balance_ids) <= known
            assert len(set(call.balance_ids)) == len(call.balance_ids)


def _spent(session: Session, row: Balance) -> int:
    total = select(func.coalesce(func.sum(LedgerEntry.cost_nano), 0))
    return int(session.scalar(total.where(_within(session, LedgerEntry, row))) or 0)


def _within(session: Session, table: Any, row: Balance) -> Any:
    condition = of_scope(session, table, row.scope_kind, row.scope_id)
    if row.budget_id:
        condition &= table.admitted_at >= row.window_start
        if row.window_end is not None:
            condition &= table.admitted_at < row.window_end
    return condition
