"""Responses that callers come back to, written with the posting of their calls."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from tests.integration.ledger.books import Books, ask, settlement
from tests.integration.ledger.test_trouble import away
from torana.core.ids import new_id
from torana.core.usage import Counted
from torana.db.models import StoredResponse
from torana.errors import LedgerUnavailable
from torana.ledger.jobs import PostJob
from torana.ledger.open_lane import open_lane
from torana.ledger.records import KeptResponse, Receipt, Status
from torana.ledger.spool import Spool
from torana.ledger.teller import NO_OBSERVER, Teller, replay_orphans

LIFE = 3600
ODD = b"\x00\xff\\x00 'sealed'"


@pytest.fixture
def books(shared_database) -> Iterator[Books]:
    with Books(shared_database) as made:
        yield made
        assert made.differences() == []


def kept(**changes: Any) -> KeptResponse:
    fields: dict[str, Any] = {
        "id": f"resp_{secrets.token_hex(8)}",
        "kept_by": "torana",
        "content": ODD,
        "life": LIFE,
    }
    return KeptResponse(**(fields | changes))


def stored(books: Books, response_id: str) -> list[StoredResponse]:
    with books.database.read() as session:
        return list(session.scalars(select(StoredResponse).where(StoredResponse.id == response_id)))


def test_a_response_is_there_when_its_call_is_posted(books):
    response = kept(previous_id="resp_before")
    receipt = books.admit()
    assert stored(books, response.id) == []
    books.teller.post(receipt, settlement(response=response))
    (row,) = stored(books, response.id)
    (entry,) = books.entries()
    assert row.content == ODD
    assert (row.kept_by, row.previous_id) == ("torana", "resp_before")
    assert (row.provider, row.target_model) == ("fake", "target-model")
    assert (row.call_id, row.key_id) == (entry.call_id, books.key_id)
    assert row.project_id == books.principal.project_id
    assert row.organisation_id == books.principal.organisation_id
    assert row.created_at == entry.posted_at
    assert row.expires_at - row.created_at == timedelta(seconds=LIFE)


def test_what_the_provider_keeps_has_no_content_here(books):
    response = kept(kept_by="provider", content=None)
    books.teller.post(books.admit(), settlement(response=response))
    (row,) = stored(books, response.id)
    assert (row.kept_by, row.content) == ("provider", None)


def test_a_call_without_one_leaves_none(books):
    receipt = books.admit()
    books.teller.post(receipt, settlement())
    with books.database.read() as session:
        call_id = receipt.record.call_id
        rows = session.scalars(select(StoredResponse).where(StoredResponse.call_id == call_id))
        assert rows.all() == []


@pytest.mark.parametrize("size", [100_000, 5_600_000])
def test_a_large_content_is_stored_as_it_is(books, size):
    response = kept(content=bytes(range(256)) * (size // 256))
    books.teller.post(books.admit(), settlement(response=response))
    (row,) = stored(books, response.id)
    assert row.content == response.content


def test_an_id_that_is_taken_fails_no_posting_and_the_first_stays(books):
    first, second = kept(), kept(content=b"other")
    second = msgspec.structs.replace(second, id=first.id)
    for response in (first, second):
        books.teller.post(books.admit(), settlement(60, response=response))
    (row,) = stored(books, first.id)
    assert row.content == ODD
    assert books.figures() == (120, 0, 0)


def test_an_id_that_is_there_twice_in_one_batch_fails_neither(books):
    response = kept()
    receipts = [books.admit(), books.admit()]
    lane = open_lane(books.database, new_id("own"))
    lane.settle([PostJob(receipt, settlement(60, response=response)) for receipt in receipts])
    lane.close()
    assert len(stored(books, response.id)) == 1
    assert books.figures() == (120, 0, 0)


def test_another_project_does_not_take_the_id(books):
    response = kept()
    books.teller.post(books.admit(), settlement(response=response))
    (row,) = stored(books, response.id)
    with books.database.write() as session:
        # As if it had been another project that was first.
        session.merge(row).project_id = "proj_another"
    books.teller.post(books.admit(), settlement(response=response))
    projects = {row.project_id for row in stored(books, response.id)}
    assert projects == {"proj_another", books.principal.project_id}


def abandon(books: Books, receipt: Receipt) -> None:
    """Post a call as the sweeper does."""
    gone = settlement(receipt.bound_nano, status=Status.ABANDONED, counted=Counted.BOUND)
    books.teller.settle(PostJob(receipt, gone))


def test_a_response_of_a_call_that_the_sweeper_has_posted_is_stored_with_the_correction(books):
    response = kept()
    receipt = books.admit(100)
    abandon(books, receipt)
    assert stored(books, response.id) == []
    books.teller.post(receipt, settlement(60, response=response))
    (row,) = stored(books, response.id)
    assert row.content == ODD
    assert books.figures() == (60, 0, 0)


def test_posting_again_brings_a_deleted_response_not_back(books):
    response = kept()
    receipt = books.admit(100)
    books.teller.post(receipt, settlement(60, response=response))
    with books.database.write() as session:
        session.delete(session.merge(stored(books, response.id)[0]))
    books.teller.post(receipt, settlement(60, response=response))
    assert stored(books, response.id) == []
    assert books.figures() == (60, 0, 0)


@pytest.mark.parametrize(
    "odd", [{"error_code": "nul\x00inside" * 30}, {"response": kept(id="x" * 300_000 + "\x00")}]
)
def test_what_can_not_be_written_is_left_out_and_the_money_is_posted(books, odd):
    response = kept()
    books.teller.post(books.admit(), settlement(60, **({"response": response} | odd)))
    assert books.figures() == (60, 0, 0)


def test_a_response_waits_in_the_spool_with_its_call(database, tmp_path: Path):
    with Books(database) as books:
        spool = Spool(tmp_path / "spool", new_id("own"))
        teller = Teller(open_lane(database, new_id("own")), NO_OBSERVER, spool=spool)
        response = kept(content=ODD * 20_000)
        receipt = teller.admit(books.record(), ask())
        assert isinstance(receipt, Receipt)
        teller.close()
        books.teller.close()
        database.dispose()
        with away(database):
            teller.post(receipt, settlement(60, response=response))
            with pytest.raises(LedgerUnavailable):
                teller.replay()
        assert teller.replay() == 1
        teller.close()
        (row,) = stored(books, response.id)
        assert row.content == response.content
        assert books.figures() == (60, 0, 0)
        assert books.differences() == []


def test_a_response_in_the_spool_of_a_process_that_is_gone_is_stored(books, tmp_path):
    response = kept()
    gone = Spool(tmp_path / "spool", new_id("own"))
    gone.append(books.admit(), settlement(60, response=response))
    gone.close()
    assert replay_orphans(tmp_path / "spool", books.teller) == 1
    (row,) = stored(books, response.id)
    assert row.content == ODD
