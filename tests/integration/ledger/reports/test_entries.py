"""Reading the ledger: page by page, call by call, and all of it in a stream."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.ledger.reports.entries import NOON, Project, entry, identity, some
from torana.core.ids import new_id
from torana.db.models import LedgerEntry
from torana.errors import InvalidRequest, NotFound
from torana.ledger import reports


def place(row: LedgerEntry) -> tuple[datetime, str, int]:
    return row.admitted_at, row.call_id, row.seq


@pytest.fixture
def project(shared_database) -> Project:
    return Project(shared_database)


# --- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 11, 200])
def test_pages_hold_every_entry_once_and_the_newest_first(project, limit):
    known = project.add(
        *(entry(project.id, NOON + timedelta(microseconds=number // 3)) for number in range(10))
    )
    pages = project.walk(limit)
    assert [row for page in pages for row in page] == sorted(known, reverse=True)
    assert all(len(page) == limit for page in pages[:-1])
    assert 0 < len(pages[-1]) <= limit


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_entries_of_one_instant_and_of_one_call_are_walked_too(project, limit):
    call = new_id("req")
    corrections = [entry(project.id, call_id=call, seq=seq) for seq in range(4)]
    others = [entry(project.id) for _ in range(5)]
    known = project.add(*corrections, *others)
    pages = project.walk(limit)
    assert [row for page in pages for row in page] == sorted(known, reverse=True)


def test_entries_that_come_meanwhile_do_not_disturb_the_walk(project):
    known = project.add(*(entry(project.id, NOON + timedelta(seconds=n)) for n in range(6)))
    first = project.page(2)
    project.add(entry(project.id, NOON + timedelta(hours=1)))
    seen = [place(row) for row in first.entries]
    cursor = first.next_cursor
    while cursor is not None:
        page = project.page(2, cursor)
        seen += [place(row) for row in page.entries]
        cursor = page.next_cursor
    assert seen == sorted(known, reverse=True)


def test_a_project_without_calls_has_one_empty_page(project):
    assert project.walk(10) == [[]]


def test_another_projects_entries_are_never_seen(project, shared_database):
    Project(shared_database).add(entry("proj_other"))
    known = project.add(entry(project.id))
    assert project.walk(10) == [known]


def test_pages_between_two_instants_hold_the_first_and_not_the_last(project):
    known = project.add(*(entry(project.id, NOON + timedelta(hours=n)) for n in range(4)))
    pages = project.walk(1, since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3))
    assert [row for page in pages for row in page] == sorted(known[1:3], reverse=True)


def test_an_instant_in_another_zone_is_the_same_instant(project):
    known = project.add(entry(project.id, NOON))
    india = datetime.fromisoformat("2026-03-01T17:30:00+05:30")
    assert project.walk(10, since=india) == [known]
    assert project.walk(10, until=india) == [[]]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "!!!!",
        "é",
        "=" * 10,
        encoded(""),
        encoded("a|b"),
        encoded("a|b|c"),
        encoded("2026-03-01T12:00:00+00:00|req_1|zero"),
        encoded("2026-03-01T12:00:00+00:00|req_1|0|more"),
        encoded("2026-03-01T12:00:00+00:00|req_1|99999999999999999999999"),
        encoded("2026-03-01T12:00:00+00:00|req_1|-1"),
        encoded("2026-03-01T12:00:00+00:00|nul\x00|0"),
        encoded("0001-01-01T00:00:00+23:00|req_1|0"),
        encoded("9999-12-31T23:59:59-23:00|req_1|0"),
        base64.urlsafe_b64encode(b"\xff\xfe|x|0").decode(),
    ],
    ids=ascii,
)
def test_a_cursor_that_no_page_gave_is_refused(project, cursor):
    with pytest.raises(InvalidRequest) as caught:
        project.page(10, cursor)
    assert caught.value.param == "cursor"


def test_a_cursor_is_safe_in_a_url(project):
    project.add(entry(project.id), entry(project.id))
    cursor = project.page(1).next_cursor
    assert cursor is not None
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.")


# --- one call ----------------------------------------------------------------------------------


def test_a_calls_entries_come_in_their_order(project):
    call = new_id("req")
    project.add(*(entry(project.id, call_id=call, seq=seq) for seq in (2, 0, 1)), entry(project.id))
    with project.database.read() as session:
        rows = reports.entries_of_call(session, where=project.where, call_id=call)
    assert [row.seq for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    "call_id", ["req_unknown", "", "x" * 10_000, "nul\x00inside", "%", "' OR 1=1"]
)
def test_a_call_that_is_not_there_is_not_found(project, call_id):
    project.add(entry(project.id))
    with project.database.read() as session, pytest.raises(NotFound) as caught:
        reports.entries_of_call(session, where=project.where, call_id=call_id)
    assert len(caught.value.public_message) < 500


def test_another_projects_call_is_not_found(project):
    call = new_id("req")
    project.add(entry("proj_other", call_id=call))
    with project.database.read() as session, pytest.raises(NotFound):
        reports.entries_of_call(session, where=project.where, call_id=call)


# --- filters and streams -----------------------------------------------------------------------

FILTERS: dict[str, dict[str, Any]] = {
    "key": {"key_id": ("key_a",)},
    "user": {"user_id": ("user_a", "user_b")},
    "end user": {"end_user": ("bob/1",)},
    "model, provider and status": {"model": ("m1",), "provider": ("p2",), "status": ("ok",)},
    "tags": {"tags": (("team", "blue"), ("a.b", "c"))},
}


@pytest.mark.parametrize("case", FILTERS)
def test_pages_of_a_filter_hold_what_it_names_and_nothing_else(project, case):
    rows = some(3, project.id, [datetime(2026, 5, 1, tzinfo=UTC)])
    project.add(*rows)
    asked = FILTERS[case]
    cheapest = 2**39
    wanted = [
        identity(row)
        for row in rows
        if row["cost_nano"] >= cheapest
        and all(row[name] in values for name, values in asked.items() if name != "tags")
        and all(row["tags"].get(name) == value for name, value in asked.get("tags", ()))
    ]
    where = reports.Filter(project_id=(project.id,), **asked)
    pages = project.walk(7, where=where, min_cost_nano=cheapest)
    assert [row for page in pages for row in page] == sorted(wanted, reverse=True)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_stream_holds_every_entry_once_and_the_oldest_first(project, chunk):
    rows = some(5, project.id, [datetime(2026, 5, 1, tzinfo=UTC)], each=20)
    project.add(*rows)
    with project.database.read() as session:
        pieces = list(
            reports.stream_entries(
                session, where=project.where, since=None, until=None, chunk=chunk
            )
        )
    assert [row for piece in pieces for row in piece] == sorted(rows, key=identity)
    assert all(len(piece) <= chunk for piece in pieces)
