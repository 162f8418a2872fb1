"""Each kind of damage to the books is found, and rollups can be mended from the ledger."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import and_, delete, func, insert, select, update

from tests.integration.ledger.reports.entries import disarm, entry, some, write
from torana.core.ids import new_id
from torana.db.models import (
    Balance,
    LedgerEntry,
    Membership,
    Organisation,
    Reservation,
    UsageRollup,
    User,
)
from torana.db.models import Project as ProjectRow
from torana.db.session import Database
from torana.ledger import reports
from torana.ledger.rebuild import rebuild
from torana.ledger.spent import open_between, spent_between

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 28, tzinfo=UTC)


class Books:
    """A tenant with entries, open calls, and right balances for scopes and windows of all kinds."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.read() as session:
            organisation = session.scalars(select(Organisation.id)).first()
            project = session.scalars(select(ProjectRow.id)).first()
            assert organisation is not None
            assert project is not None
        self.organisation, self.project = organisation, project
        self.member = self._member()
        rows = some(7, self.project, [START, START + timedelta(days=9)])
        self.entries = [row | {"organisation_id": organisation} for row in rows]
        write(database, self.entries)
        self.scopes = [
            ("key", "key_a"),
            ("key", "key_b"),
            ("user", self.member),
            ("project", project),
            ("organisation", organisation),
            ("end_user", f"{project}/bob/1"),
            ("end_user", f"{organisation}/x=y"),
            ("tag", f"{project}/team=blue"),
            ("tag", f'{organisation}/o"k=v=1'),
        ]
        self.windows: list[tuple[datetime, datetime | None]] = [
            (ALL_TIME, None),
            (START, START + timedelta(days=1)),
            (START + timedelta(days=1), None),
            (START - timedelta(hours=5, microseconds=1), START + timedelta(hours=3, seconds=7)),
            (START + timedelta(minutes=2), START + timedelta(minutes=9)),
            (START + timedelta(minutes=11), START + timedelta(minutes=21)),
        ]
        self._open_balances()

    def _member(self) -> str:
        with self.database.write() as session:
            made: dict[str, Any] = {"created_at": START}
            email = "a@example.test"
            session.add(User(id="user_a", email=email, is_instance_admin=False, **made))
            session.flush()
            member = Membership(
                id=new_id("mem"),
                organisation_id=self.organisation,
                user_id="user_a",
                role="member",
                **made,
            )
            session.add(member)
            return member.id

    def spent(self, kind: str, scope: str, start: datetime, end: datetime | None) -> int:
        return sum(
            row["cost_nano"]
            for row in self.entries
            if self.belongs(row, kind, scope)
            and start <= row["admitted_at"]
            and (end is None or row["admitted_at"] < end)
        )

    def belongs(self, row: dict[str, Any], kind: str, scope: str) -> bool:
        if kind in {"key", "project", "organisation"}:
            return bool(row[f"{kind}_id"] == scope)
        if kind == "user":
            return bool(row["user_id"] == "user_a")
        text = scope.partition("/")[2]
        if kind == "end_user":
            return bool(row["end_user"] == text)
        name, _, value = text.partition("=")
        return bool(row["tags"].get(name) == value)

    def _open_balances(self) -> None:
        with self.database.write() as session:
            session.execute(delete(Balance))
            for number, ((kind, scope), (start, end)) in enumerate(
                itertools.product(self.scopes, self.windows)
            ):
                is_account = start == ALL_TIME
                session.add(
                    Balance(
                        id=f"bal_{number:03d}",
                        scope_kind=kind,
                        scope_id=scope,
                        budget_id="" if is_account else f"bud_{number}",
                        window_start=start,
                        window_end=end,
                        spent_nano=self.spent(kind, scope, start, end),
                        reserved_nano=30 if number in {0, 20} else 0,
                        open_calls=2 if number in {0, 20} else 0,
                        terms={},
                    )
                )
            for bound in (10, 20):
                session.add(self.reservation(bound, ["bal_000", "bal_020"]))

    def reservation(self, bound: int, balances: list[str], **changes: Any) -> Reservation:
        row = entry(self.project, START)
        fields = {name: row[name] for name in ("call_id", "admitted_at", "key_id", "user_id")}
        fields |= {name: row[name] for name in ("route", "model", "provider", "target_model")}
        fields |= {"end_user": "bob/1", "tags": {"team": "blue"}, "price_id": None}
        fields |= {"organisation_id": self.organisation, "project_id": self.project}
        fields |= {"owner_id": "own_1", "bound_nano": bound, "balance_ids": balances}
        return Reservation(**(fields | changes))

    def found(self) -> list[reports.Difference]:
        with self.database.read() as session:
            return reports.verify(session)

    def told(self) -> set[tuple[str, str, str]]:
        return {(row.what, row.scope_kind, row.column) for row in self.found()}

    def change(self, statement: Any) -> None:
        with self.database.write() as session:
            session.execute(statement)


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


def test_right_books_have_no_difference(books: Books):
    assert books.found() == []


def test_what_a_scope_spent_in_a_window_is_told_exactly(books: Books):
    for (kind, scope), (start, end) in itertools.product(books.scopes, books.windows):
        with books.database.write() as session:
            asked: dict[str, Any] = {"scope_kind": kind, "scope_id": scope}
            spent = spent_between(session, **asked, start=start, end=end)
        assert spent == books.spent(kind, scope, start, end)


def test_the_open_calls_of_a_scope_in_a_window_are_told(books: Books):
    with books.database.write() as session:
        for kind, scope in (("tag", f"{books.project}/team=blue"), ("project", books.project)):
            asked: dict[str, Any] = {"scope_kind": kind, "scope_id": scope}
            inside = open_between(session, **asked, start=START, end=None)
            outside = open_between(session, **asked, start=ALL_TIME, end=START)
            assert sorted(row.bound_nano for row in inside) == [10, 20]
            assert outside == []


@pytest.mark.parametrize("column", ["spent_nano", "reserved_nano", "open_calls"])
def test_every_wrong_balance_is_found_and_no_other(books: Books, column: str):
    wrong = [f"bal_{number:03d}" for number in range(0, 54, 2)]
    values = {column: getattr(Balance, column) + 1}
    books.change(update(Balance).where(Balance.id.in_(wrong)).values(values))
    found = books.found()
    assert sorted(row.balance_id for row in found) == wrong
    assert {(row.what, row.column, row.stored - row.computed) for row in found} == {
        ("balance", column, 1)
    }


def test_a_reservation_on_a_balance_that_is_gone_is_found(books: Books):
    with books.database.write() as session:
        session.add(books.reservation(5, ["bal_gone"]))
    (found,) = books.found()
    assert (found.what, found.balance_id) == ("reservation", "bal_gone")


def test_a_reservation_that_was_taken_away_is_found(books: Books):
    books.change(delete(Reservation).where(Reservation.bound_nano == 10))
    assert books.told() == {
        ("balance", "key", "reserved_nano"),
        ("balance", "key", "open_calls"),
    } | {
        ("balance", "project", "reserved_nano"),
        ("balance", "project", "open_calls"),
    }


def test_a_call_that_is_both_open_and_posted_is_found(books: Books):
    call = books.entries[0]["call_id"]
    with books.database.write() as session:
        session.add(books.reservation(0, [], call_id=call))
    (found,) = books.found()
    assert (found.what, found.scope_id, found.column) == ("reservation", call, "posted")


@pytest.mark.parametrize("seqs", [(1,), (0, 2), (0, 1, 3), (2, 3)])
def test_a_posting_that_is_missing_is_found(books: Books, seqs: tuple[int, ...]):
    call = new_id("req")
    for seq in seqs:
        row = entry("proj_x", START, call_id=call, seq=seq, organisation_id="org_x", key_id="key_x")
        write(books.database, [row])
    (found,) = books.found()
    assert (found.what, found.scope_id, found.column) == ("entry", call, "seq")


def test_a_call_that_was_posted_twice_is_found(books: Books):
    call = new_id("req")
    for minutes in (0, 1):
        at = START + timedelta(minutes=minutes)
        row = entry("proj_x", at, call_id=call, organisation_id="org_x", key_id="key_x")
        write(books.database, [row])
    assert ("entry", "call", "seq") in books.told()


def test_an_entry_that_was_taken_away_is_found(books: Books):
    disarm(books.database)
    gone = next(row for row in books.entries if row["seq"] == 0 and row["key_id"] == "key_a")
    books.change(delete(LedgerEntry).where(LedgerEntry.call_id == gone["call_id"]))
    told = books.told()
    assert {("rollup", "bucket", "calls"), ("rollup", "bucket", "cost_nano")} <= told
    assert {("balance", "key", "spent_nano"), ("balance", "organisation", "spent_nano")} <= told


def test_an_entry_whose_cost_was_changed_is_found(books: Books):
    disarm(books.database)
    chosen = LedgerEntry.call_id == books.entries[0]["call_id"]
    books.change(update(LedgerEntry).where(chosen).values(cost_nano=LedgerEntry.cost_nano + 1))
    told = books.told()
    assert {("rollup", "bucket", "cost_nano"), ("balance", "project", "spent_nano")} <= told


@pytest.mark.parametrize("column", ["calls", "cost_nano", "images", "reasoning_tokens"])
def test_a_rollup_with_a_wrong_sum_is_found_and_the_balances_are_still_right(
    books: Books, column: str
):
    books.change(update(UsageRollup).values({column: getattr(UsageRollup, column) + 1}))
    assert books.told() == {("rollup", "bucket", column)}
    assert rebuild(books.database).changed > 0
    assert books.found() == []


DAMAGE: dict[str, Callable[[Any], Any]] = {
    "gone": lambda which: delete(UsageRollup).where(which),
    "another model": lambda which: update(UsageRollup).where(which).values(model="other"),
    "another organisation": lambda which: (
        update(UsageRollup).where(which).values(organisation_id="org_zzz")
    ),
    "an earlier organisation": lambda which: (
        update(UsageRollup).where(which).values(organisation_id="org_000")
    ),
    "other tags": lambda which: update(UsageRollup).where(which).values(tags={"team": "green"}),
    "an end user": lambda which: update(UsageRollup).where(which).values(end_user="mallory"),
    "another digest": lambda which: update(UsageRollup).where(which).values(digest="0" * 32),
    "another hour": lambda which: (
        update(UsageRollup).where(which).values(bucket_start=START + timedelta(hours=100))
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_rollup_is_mended(books: Books, case: str):
    with books.database.read() as session:
        before = _rollups(session)
    chosen = min(before, key=lambda row: row["digest"])
    this = and_(
        UsageRollup.bucket_start == chosen["bucket_start"], UsageRollup.digest == chosen["digest"]
    )
    books.change(DAMAGE[case](this))
    if case != "another digest":  # Its sums and dimensions are right.
        assert {what for what, _, _ in books.told()} == {"rollup"}
    assert rebuild(books.database).changed >= 1
    with books.database.read() as session:
        assert _rollups(session) == before
    assert books.found() == []


def test_a_rollup_of_nothing_and_one_that_is_there_twice_are_found(books: Books):
    with books.database.read() as session:
        row = dict(_rollups(session)[0])
    books.change(insert(UsageRollup).values(row | {"digest": "1" * 32}))
    assert ("rollup", "bucket", "rows") in books.told()
    rebuild(books.database)
    nothing = dict.fromkeys(("calls", "cost_nano", "output_tokens", "input_tokens"), 0)
    books.change(insert(UsageRollup).values(row | nothing | {"digest": "2" * 32, "model": "none"}))
    assert ("rollup", "bucket", "rows") in books.told()
    rebuild(books.database)
    assert books.found() == []


def test_all_rollups_are_made_from_nothing(books: Books):
    with books.database.read() as session:
        before = _rollups(session)
    books.change(delete(UsageRollup))
    done = rebuild(books.database)
    assert (done.rows, done.changed) == (len(before), len(before))
    with books.database.read() as session:
        assert _rollups(session) == before
    assert rebuild(books.database).changed == 0


def test_only_the_asked_time_is_made_anew(books: Books):
    books.change(update(UsageRollup).values(calls=UsageRollup.calls + 1))
    since, until = START + timedelta(minutes=7), START + timedelta(hours=5, minutes=3)
    rebuild(books.database, since=since, until=until)
    inside = (
        UsageRollup.bucket_start >= START,
        UsageRollup.bucket_start < START + timedelta(hours=5, minutes=15),
    )
    with books.database.read() as session:
        mended = session.scalar(select(func.sum(UsageRollup.calls)).where(*inside)) or 0
        right = session.scalar(
            select(func.count()).where(
                LedgerEntry.seq == 0,
                LedgerEntry.admitted_at >= START,
                LedgerEntry.admitted_at < START + timedelta(hours=5, minutes=15),
            )
        )
    assert mended == right
    assert len(books.found()) > 0


def test_nothing_is_made_of_an_empty_ledger(database: Database):
    done = rebuild(database)
    assert (done.rows, done.changed) == (0, 0)


def test_calls_that_are_posted_meanwhile_are_not_lost(books: Books):
    """Posts of the organisation, under its account's lock, while its rollups are made anew."""
    stop = threading.Event()
    row = entry(books.project, START, organisation_id=books.organisation, key_id="key_q")

    def post() -> None:
        while not stop.is_set():
            with books.database.write() as session:
                session.execute(
                    select(Balance.id)
                    .where(Balance.scope_id == books.organisation, Balance.budget_id == "")
                    .with_for_update()
                )
                session.execute(insert(LedgerEntry), [row | {"call_id": new_id("req")}])
                there = session.scalars(select(UsageRollup).where(UsageRollup.key_id == "key_q"))
                for rollup in there:
                    rollup.calls += 1
                    for name in ("input_tokens", "cached_tokens", "cache_write_tokens"):
                        setattr(rollup, name, getattr(rollup, name) + row[name])
                    for name in ("output_tokens", "reasoning_tokens", "cost_nano"):
                        setattr(rollup, name, getattr(rollup, name) + row[name])

    write(books.database, [row])
    poster = threading.Thread(target=post)
    poster.start()
    try:
        for _ in range(5):
            rebuild(books.database, since=START, until=START + timedelta(hours=1))
    finally:
        stop.set()
        poster.join()
    assert {row.what for row in books.found()} == {"balance"}


def _rollups(session: Any) -> list[dict[str, Any]]:
    columns = UsageRollup.__table__.columns
    order = (UsageRollup.bucket_start, UsageRollup.digest)
    return [dict(row) for row in session.execute(select(*columns).order_by(*order)).mappings()]
