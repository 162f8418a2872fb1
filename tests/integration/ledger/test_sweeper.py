"""Calls of processes that fell silent: posted in their stead, and corrected when they wake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from tests.integration.ledger.books import Books, ask, settlement
from tests.integration.ledger.test_trouble import away
from torana.admin import budgets
from torana.admin.scopes import ScopeRef
from torana.core.ids import new_id
from torana.db.models import Balance, IdempotentCall, Owner, Reservation
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger import sweeper as sweeper_module
from torana.ledger.accounts import open_from_templates
from torana.ledger.locking import database_now
from torana.ledger.open_lane import open_lane
from torana.ledger.owners import OwnerHeartbeat
from torana.ledger.records import Claim, Receipt
from torana.ledger.sweeper import PATIENCE, WATCH_SECONDS, Sweeper
from torana.ledger.teller import NO_OBSERVER, Teller
from torana.ledger.terms import BudgetTerms


class Scene:
    """A process with a sign of life, and a sweeper of another process."""

    def __init__(self, books: Books) -> None:
        self.books = books
        books.teller.close()
        self.owner_id = new_id("own")
        books.teller = Teller(open_lane(books.database, self.owner_id), NO_OBSERVER)
        self.heartbeat = OwnerHeartbeat(books.database, owner_id=self.owner_id, kind="web")
        self.heartbeat.beat()
        self.sweeping = Teller(open_lane(books.database, new_id("own")), NO_OBSERVER)
        self.sweeper = Sweeper(books.database, self.sweeping)

    def silent_for(self, seconds: float) -> None:
        with self.books.database.write() as session:
            heard = database_now(session) - timedelta(seconds=seconds)
            session.execute(
                update(Owner).where(Owner.id == self.owner_id).values(heartbeat_at=heard)
            )

    def entries(self) -> list[tuple[int, int, str, str]]:
        rows = sorted(self.books.entries(), key=lambda entry: (entry.call_id, entry.seq))
        return [(entry.seq, entry.cost_nano, entry.status, entry.counted) for entry in rows]


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    with Books(database) as books:
        made = Scene(books)
        yield made
        made.sweeping.close()
        assert books.differences() == []


@pytest.fixture
def unwatched(monkeypatch) -> None:
    """A sweeper that need not have seen the silence itself."""
    monkeypatch.setattr(sweeper_module, "WATCH_SECONDS", 0.0)


def test_a_silent_owners_calls_are_posted_at_their_bound(scene, unwatched):
    scene.books.admit(100, end_user="alice", tags={"team": "red"})
    scene.books.admit(7)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 2
    assert scene.books.reservations() == []
    assert scene.books.figures() == (107, 0, 0)
    assert scene.entries() == [(0, 100, "abandoned", "bound"), (0, 7, "abandoned", "bound")]
    first = min(scene.books.entries(), key=lambda entry: entry.call_id)
    assert (first.end_user, first.tags, first.model) == ("alice", {"team": "red"}, "asked-model")
    assert (first.error_code, first.bound_nano) == ("abandoned", 100)
    assert scene.sweeper.run_once() == 0


@pytest.mark.parametrize("seconds", [0, 28])
def test_an_owner_that_was_heard_of_is_left_alone(scene, unwatched, seconds):
    receipt = scene.books.admit(100)
    scene.silent_for(seconds)
    assert scene.sweeper.run_once() == 0
    assert scene.books.figures() == (0, 100, 1)
    scene.books.teller.post(receipt, settlement(60))


def test_the_patience_and_the_watch_together_are_within_what_is_promised():
    assert PATIENCE + timedelta(seconds=WATCH_SECONDS) <= timedelta(seconds=40)


def test_a_sweeper_must_have_seen_the_silence_itself(scene, monkeypatch):
    scene.books.admit(100)
    scene.silent_for(31)
    # A sweeper that has just started, or that was itself away, does not know yet.
    assert scene.sweeper.run_once() == 0
    assert scene.sweeper.run_once() == 0
    monkeypatch.setattr(sweeper_module, "WATCH_SECONDS", 0.0)
    assert scene.sweeper.run_once() == 1


def test_a_beat_begins_the_watch_anew(scene, monkeypatch):
    receipt = scene.books.admit(100)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 0
    seen = dict(scene.sweeper._seen)
    assert len(seen) == 1
    # It beat in between, and is silent again.
    scene.silent_for(32)
    assert scene.sweeper.run_once() == 0
    assert not set(scene.sweeper._seen) & set(seen)
    scene.books.teller.post(receipt, settlement(1))


def test_after_an_outage_of_the_database_nobody_is_swept_at_once(scene):
    receipt = scene.books.admit(100)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 0
    assert len(scene.sweeper._seen) == 1
    scene.books.teller.close()
    scene.sweeping.close()
    scene.books.database.dispose()
    with away(scene.books.database), pytest.raises(LedgerUnavailable):
        scene.sweeper.run_once()
    # What was seen before the outage counts no more.
    assert scene.sweeper._seen == {}
    scene.heartbeat.beat()
    assert scene.sweeper.run_once() == 0
    scene.books.teller.post(receipt, settlement(60))
    assert scene.books.figures() == (60, 0, 0)


def test_an_owner_without_a_row_is_given_the_same_time(scene, unwatched):
    scene.books.admit(100)
    scene.heartbeat.leave()
    assert scene.sweeper.run_once() == 0
    with scene.books.database.write() as session:
        session.execute(
            update(Reservation).values(admitted_at=database_now(session) - timedelta(seconds=31))
        )
    assert scene.sweeper.run_once() == 1
    assert scene.books.figures() == (100, 0, 0)


def test_several_sweepers_at_once_post_a_call_once(scene, unwatched):
    scene.books.admit(100)
    scene.silent_for(31)
    row = scene.books.reservations()[0]
    assert scene.sweeper.run_once() == 1
    # Another had read the reservation before it was gone.
    assert scene.sweeper._abandon(row) in {0, 1}
    assert scene.entries() == [(0, 100, "abandoned", "bound")]
    assert scene.books.figures() == (100, 0, 0)


def test_a_swept_call_leaves_its_idempotency_key_free(scene, unwatched):
    claim = Claim("c" * 64, "f" * 64)
    books = scene.books
    books.teller.admit(books.record(), ask(1, claim=claim))
    with books.database.read() as session:
        assert session.get(IdempotentCall, claim.id) is not None
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 1
    with books.database.read() as session:
        assert session.get(IdempotentCall, claim.id) is None
    scene.heartbeat.beat()
    receipt = books.teller.admit(books.record(), ask(1, claim=claim))
    assert isinstance(receipt, Receipt)
    books.teller.post(receipt, settlement(1))


def test_rows_of_owners_that_are_long_gone_are_taken_away(scene, unwatched):
    other = OwnerHeartbeat(scene.books.database, owner_id=new_id("own"), kind="web")
    other.beat()
    scene.silent_for(301)
    scene.sweeper.run_once()
    with scene.books.database.read() as session:
        assert session.scalars(select(Owner.id)).all() == [other.owner_id]


# --- corrections -------------------------------------------------------------------------------


def budget(books: Books, ref: ScopeRef, **terms: Any) -> str:
    fields: dict[str, Any] = {"amount_nano": 1000, "period": "month"} | terms
    return budgets.create_budget(books.database, ref, BudgetTerms(**fields)).id


def spent(books: Books, budget_id: str) -> list[int]:
    with books.database.read() as session:
        rows = session.scalars(
            select(Balance).where(Balance.budget_id == budget_id).order_by(Balance.window_start)
        )
        return [row.spent_nano for row in rows]


@pytest.mark.parametrize("cost", [0, 30, 100, 250])
def test_an_owner_that_wakes_posts_the_difference(scene, unwatched, cost):
    books = scene.books
    on_key = budget(books, ScopeRef(kind="key", id=books.key_id))
    on_project = budget(books, ScopeRef(kind="project", id="default"), period="total")
    receipt = books.admit(100)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 1
    assert (spent(books, on_key), spent(books, on_project)) == ([100], [100])
    assert books.differences() == []
    scene.heartbeat.beat()
    for _ in range(2):
        books.teller.post(receipt, settlement(cost))
    assert scene.entries() == [
        (0, 100, "abandoned", "bound"),
        (1, cost - 100, "ok", "provider"),
    ]
    assert books.figures() == (cost, 0, 0)
    assert (spent(books, on_key), spent(books, on_project)) == ([cost], [cost])


def test_a_correction_counts_in_the_window_of_the_admission(scene, unwatched):
    books = scene.books
    made = budget(
        books, ScopeRef(kind="key", id=books.key_id), period="interval", interval_seconds=60
    )
    receipt = shifted(books, made, books.admit(100), timedelta(hours=2))
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 1
    scene.heartbeat.beat()
    later = books.admit(5)
    books.teller.post(receipt, settlement(30))
    books.teller.post(later, settlement(5))
    assert spent(books, made) == [30, 5]


def test_a_correction_counts_in_a_budget_that_was_made_meanwhile(scene, unwatched):
    books = scene.books
    receipt = books.admit(100)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 1
    made = budget(books, ScopeRef(kind="key", id=books.key_id))
    assert spent(books, made) == [100]
    books.teller.post(receipt, settlement(30))
    assert spent(books, made) == [30]


@pytest.mark.parametrize("ref", [ScopeRef(kind="end_user", id="*"), ScopeRef(kind="tag", id="a=*")])
def test_a_correction_counts_for_an_end_user_or_a_tag_that_was_opened_meanwhile(
    scene, unwatched, ref
):
    books = scene.books
    receipt = books.admit(100, end_user="alice", tags={"a": "b=c"})
    made = budget(books, ref)
    text = "alice" if ref.kind == "end_user" else "a=b=c"
    scope_id = f"{books.principal.organisation_id}/{text}"
    open_from_templates(books.database, ref.kind, scope_id)
    scene.silent_for(31)
    assert scene.sweeper.run_once() == 1
    assert spent(books, made) == [100]
    books.teller.post(receipt, settlement(30))
    assert spent(books, made) == [30]


def shifted(books: Books, budget_id: str, receipt: Receipt, span: timedelta) -> Receipt:
    """The call and its budget's window, so much earlier."""

    def earlier(instant: datetime) -> datetime:
        return instant - span

    with books.database.write() as session:
        for row in session.scalars(select(Balance).where(Balance.budget_id == budget_id)):
            row.window_start = earlier(row.window_start)
            assert row.window_end is not None
            row.window_end = earlier(row.window_end)
        session.execute(
            update(Reservation)
            .where(Reservation.call_id == receipt.record.call_id)
            .values(admitted_at=earlier(receipt.admitted_at))
        )
    return msgspec.structs.replace(receipt, admitted_at=earlier(receipt.admitted_at))
