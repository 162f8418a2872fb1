"""Admissions and posts on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select

from tests.integration.ledger.books import Books, admitted, settlement
from torana.core.usage import CLASSES, Counted, Usage
from torana.db.models import Balance
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    KeyRevoked,
    NotAuthenticated,
    ScopeSuspended,
)
from torana.ledger.records import Status

SCOPES = ["key", "user", "project", "organisation"]


@pytest.fixture
def books(shared_database) -> Iterator[Books]:
    made = Books(shared_database)
    yield made
    made.close()
    assert made.differences() == []


def test_a_key_of_a_user_is_counted_on_four_scopes(books):
    with books.database.read() as session:
        kinds = session.scalars(
            select(Balance.scope_kind).where(Balance.id.in_(books.principal.account_ids))
        ).all()
    assert sorted(kinds) == sorted(SCOPES)


def test_an_admission_is_a_row_before_anything_else_happens(books):
    before = datetime.now(UTC) - timedelta(minutes=1)
    receipt = books.admit(100, tokens=7, end_user="alice", tags={"team": "red"})
    (row,) = books.reservations()
    assert (row.call_id, row.bound_nano) == (receipt.record.call_id, 100)
    assert row.admitted_at == receipt.admitted_at
    assert before < row.admitted_at < datetime.now(UTC) + timedelta(minutes=1)
    assert tuple(row.balance_ids) == receipt.balance_ids == receipt.record.account_ids
    assert (row.model, row.provider, row.target_model) == ("asked-model", "fake", "target-model")
    assert (row.user_id, row.project_id) == (books.principal.user_id, books.principal.project_id)
    assert (row.tokens, row.end_user, row.tags) == (7, "alice", {"team": "red"})
    assert row.owner_id.startswith("own_")
    assert books.figures() == (0, 100, 1)
    assert books.entries() == []
    books.teller.post(receipt, settlement())


def test_a_post_writes_the_entry_and_releases_the_reservation(books):
    receipt = books.admit(100, end_user="alice", tags={"team": "red"})
    books.teller.post(receipt, settlement(60))
    assert books.reservations() == []
    assert books.figures() == (60, 0, 0)
    (entry,) = books.entries()
    assert (entry.call_id, entry.seq) == (receipt.record.call_id, 0)
    assert entry.admitted_at == receipt.admitted_at <= entry.posted_at
    assert (entry.status, entry.counted, entry.http_status) == ("ok", "provider", 200)
    assert (entry.cost_nano, entry.bound_nano) == (60, 100)
    assert (entry.input_tokens, entry.cached_tokens, entry.cache_write_tokens) == (3, 1, 0)
    assert (entry.output_tokens, entry.reasoning_tokens) == (2, 4)
    assert (entry.duration_ms, entry.first_byte_ms, entry.streamed) == (12, 3, True)
    assert entry.provider_request_id == "theirs"
    assert entry.attempts == [{"n": 1, "outcome": "answered"}]
    assert (entry.end_user, entry.tags) == ("alice", {"team": "red"})


@pytest.mark.parametrize("scope", SCOPES)
def test_a_call_counts_on_each_of_its_scopes(books, scope):
    spent, reserved, open_calls = books.figures(scope)
    receipt = books.admit(100)
    assert books.figures(scope) == (spent, reserved + 100, open_calls + 1)
    books.teller.post(receipt, settlement(60))
    assert books.figures(scope) == (spent + 60, reserved, open_calls)


def test_posting_a_call_twice_changes_nothing(books):
    receipt = books.admit(100)
    books.teller.post(receipt, settlement(60))
    before = books.figures(), len(books.entries())
    books.teller.post(receipt, settlement(60))
    books.teller.post(receipt, settlement(99))
    assert (books.figures(), len(books.entries())) == before


def test_posting_what_was_never_admitted_changes_nothing(books):
    receipt = books.admit(100)
    stranger = msgspec.structs.replace(receipt, record=books.record())
    books.teller.post(stranger, settlement(60))
    assert books.figures() == (0, 100, 1)
    assert books.entries() == []
    books.teller.post(receipt, settlement(60))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.ERROR, "error_code": "upstream_cut", "counted": Counted.BOUND},
        {"status": Status.CANCELLED, "http_status": 499, "first_byte_ms": None},
        {"usage": Usage(input_tokens=10**12, output_tokens=10**12), "cost_nano": 2**61},
        {"attempts": [], "provider_request_id": None},
        {"attempts": [{"n": 1, "text": 'é "quoted" \\ \n 😀 %s %(x)s'}]},
        {
            "usage": Usage(
                cache_write_tokens=1,
                cache_write_1h_tokens=2,
                input_audio_tokens=3,
                output_audio_tokens=4,
                images=5,
                input_image_tokens=6,
                output_image_tokens=7,
                characters=8,
                audio_seconds=9,
                searches=10,
            )
        },
        {"price_id": "price_01h455vb4pex5vsknk084sn02q"},
        {"provider_request_id": "x" * 200, "error_code": "x" * 64},
    ],
    ids=",".join,
)
def test_every_kind_of_settlement_survives_the_way_to_the_ledger(books, changes):
    wanted = settlement(**changes)
    cost = wanted.cost_nano
    spent_before = books.figures("organisation")[0]
    receipt = books.admit(100)
    books.teller.post(receipt, wanted)
    (entry,) = books.entries()
    assert (entry.status, entry.counted) == (wanted.status.value, wanted.counted.value)
    assert entry.cost_nano == wanted.cost_nano
    assert {name: getattr(entry, name) for name in CLASSES} == {
        name: getattr(wanted.usage, name) for name in CLASSES
    }
    assert entry.attempts == wanted.attempts
    assert (entry.error_code, entry.http_status) == (wanted.error_code, wanted.http_status)
    assert (entry.price_id, entry.first_byte_ms) == (wanted.price_id, wanted.first_byte_ms)
    assert entry.provider_request_id == wanted.provider_request_id
    assert books.figures("organisation")[0] == spent_before + cost


def test_the_names_of_a_call_are_kept_as_they_are(books):
    record = books.record(
        model="m'; DROP TABLE balances; -- \"é😀" + "x" * 160,
        end_user="é😀 %s %(x)s'; --",
        tags={"a.b": "😀 %s %(x)s", 'a"b': "\\ '", "": ""},
    )
    books.teller.post(admitted(books.teller, record, 1), settlement(1))
    (entry,) = books.entries()
    assert (entry.model, entry.end_user, entry.tags) == (
        record.model,
        record.end_user,
        record.tags,
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_the_limit_of_any_scope_refuses_what_does_not_fit(books, scope):
    spent, reserved, _ = books.figures(scope)
    books.limit(spent + reserved + 100, scope)
    try:
        with pytest.raises(BudgetExceeded, match=f"budget of this {scope}"):
            books.admit(101)
        receipt = books.admit(100)
        with pytest.raises(BudgetReserved, match=f"budget of this {scope}"):
            books.admit(1)
        books.teller.post(receipt, settlement(40))
        books.teller.post(books.admit(60), settlement(60))
        with pytest.raises(BudgetExceeded):
            books.admit(1)
    finally:
        books.limit(None, scope)
    assert books.reservations() == []
    assert len(books.entries()) == 2


def test_a_refusal_leaves_no_trace(books):
    books.limit(10)
    before = books.figures("organisation")
    with pytest.raises(BudgetExceeded):
        books.admit(11)
    assert books.reservations() == []
    assert books.figures("organisation") == before
    assert books.figures() == (0, 0, 0)


def test_a_limit_that_is_lowered_stops_the_next_call(books):
    books.teller.post(books.admit(100), settlement(60))
    books.limit(50)
    with pytest.raises(BudgetExceeded):
        books.admit(1)


def test_a_revoked_key_is_refused_by_the_next_transaction(books):
    receipt = books.admit(100)
    books.revoke()
    with pytest.raises(KeyRevoked):
        books.admit(1)
    # What was open is still posted.
    books.teller.post(receipt, settlement(60))
    assert books.figures() == (60, 0, 0)


@pytest.mark.parametrize("scope", ["user", "project", "organisation"])
def test_a_suspended_scope_is_refused_and_named(books, scope):
    books.block("suspended", scope)
    try:
        with pytest.raises(ScopeSuspended, match=scope):
            books.admit(0)
    finally:
        books.block(None, scope)
    books.teller.post(books.admit(1), settlement(1))


def test_a_balance_that_is_gone_refuses(books):
    record = books.record(account_ids=(*books.principal.account_ids, "bal_gone"))
    with pytest.raises(NotAuthenticated):
        admitted(books.teller, record)
    assert books.reservations() == []


def test_a_call_costs_what_it_costs_even_above_its_bound(books):
    books.limit(100)
    receipt = books.admit(100)
    books.teller.post(receipt, settlement(250))
    assert books.figures() == (250, 0, 0)


def test_a_free_call_is_on_the_ledger_too(books):
    books.teller.post(books.admit(0), settlement(0))
    assert books.total() == (1, 0)


def test_the_books_agree_between_admission_and_post(books):
    receipts = [books.admit(bound) for bound in (1, 20, 300)]
    assert books.differences() == []
    for receipt in receipts:
        books.teller.post(receipt, settlement(1))
        assert books.differences() == []
