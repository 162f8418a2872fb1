"""Reading the ledger: pages, sums, and whether the books agree."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.ledger.books import Books, settlement
from torana.core.ids import new_id
from torana.db.models import Balance, LedgerEntry, Reservation
from torana.db.session import Database
from torana.errors import InvalidRequest, NotFound
from torana.ledger import reports

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(project: str, at: datetime = NOON, **changes: Any) -> LedgerEntry:
    fields: dict[str, Any] = {
        "admitted_at": at,
        "call_id": new_id("req"),
        "seq": 0,
        "posted_at": at,
        "organisation_id": "org_1",
        "project_id": project,
        "user_id": None,
        "key_id": "key_1",
        "route": "openai.chat.completions",
        "model": "m",
        "provider": "p",
        "target_model": "t",
        "status": "ok",
        "counted": "provider",
        "input_tokens": 1,
        "cached_tokens": 10,
        "cache_write_tokens": 100,
        "output_tokens": 1000,
        "reasoning_tokens": 10000,
        "cost_nano": 5,
        "bound_nano": 9,
        "price_id": None,
        "streamed": False,
        "http_status": 200,
        "error_code": None,
        "duration_ms": 1,
        "first_byte_ms": None,
        "provider_request_id": None,
        "attempts": [],
        "tags": {},
    }
    return LedgerEntry(**(fields | changes))


def identity(row: LedgerEntry) -> tuple[datetime, str, int]:
    return row.admitted_at, row.call_id, row.seq


class Project:
    """A project of its own on the shared database, with rows that no key made."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = f"proj_{secrets.token_hex(8)}"

    def add(self, *rows: LedgerEntry) -> list[tuple[datetime, str, int]]:
        known = [identity(row) for row in rows]
        with self.database.write() as session:
            session.add_all(rows)
        return known

    def walk(self, limit: int, **between: Any) -> list[list[tuple[datetime, str, int]]]:
        """All pages, from the first to the last."""
        pages = []
        cursor = None
        while True:
            page = self.page(limit, cursor, **between)
            pages.append([identity(row) for row in page.entries])
            cursor = page.next_cursor
            if cursor is None:
                return pages

    def page(self, limit: int, cursor: str | None = None, **between: Any) -> reports.Page:
        span: dict[str, Any] = {"since": None, "until": None} | between
        with self.database.read() as session:
            return reports.entry_page(
                session, project_id=self.id, limit=limit, cursor=cursor, **span
            )

    def usage(self, *group_by: str, **between: Any) -> list[reports.UsageRow]:
        with self.database.read() as session:
            return reports.usage(session, group_by=group_by, project_id=self.id, **between)


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
    seen = [identity(row) for row in first.entries]
    cursor = first.next_cursor
    while cursor is not None:
        page = project.page(2, cursor)
        seen += [identity(row) for row in page.entries]
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
        rows = reports.entries_of_call(session, project_id=project.id, call_id=call)
    assert [row.seq for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    "call_id", ["req_unknown", "", "x" * 10_000, "nul\x00inside", "%", "' OR 1=1"]
)
def test_a_call_that_is_not_there_is_not_found(project, call_id):
    project.add(entry(project.id))
    with project.database.read() as session, pytest.raises(NotFound) as caught:
        reports.entries_of_call(session, project_id=project.id, call_id=call_id)
    assert len(caught.value.public_message) < 500


def test_another_projects_call_is_not_found(project):
    call = new_id("req")
    project.add(entry("proj_other", call_id=call))
    with project.database.read() as session, pytest.raises(NotFound):
        reports.entries_of_call(session, project_id=project.id, call_id=call)


# --- sums --------------------------------------------------------------------------------------


def test_a_sum_over_all_adds_what_belongs_together(project):
    project.add(entry(project.id, cost_nano=2), entry(project.id, cost_nano=3))
    assert project.usage() == [
        reports.UsageRow(group={}, calls=2, input_tokens=222, output_tokens=22000, cost_nano=5)
    ]


def test_without_calls_a_sum_is_zero_and_groups_are_none(project):
    (row,) = project.usage()
    assert (row.calls, row.input_tokens, row.output_tokens, row.cost_nano) == (0, 0, 0, 0)
    assert project.usage("model") == []


def test_corrections_count_in_the_sum_but_are_no_calls(project):
    call = new_id("req")
    project.add(
        entry(project.id, call_id=call, cost_nano=100),
        entry(project.id, call_id=call, seq=1, cost_nano=-40),
    )
    (row,) = project.usage()
    assert (row.calls, row.cost_nano) == (1, 60)


@pytest.mark.parametrize(
    ("group", "column", "values"),
    [
        ("model", "model", ["a", "b"]),
        ("provider", "provider", ["a", "b"]),
        ("key", "key_id", ["key_a", "key_b"]),
        ("user", "user_id", ["user_a", None]),
        ("status", "status", ["ok", "error"]),
    ],
)
def test_sums_by_a_group_come_dearest_first(project, group, column, values):
    cheap, dear = values
    project.add(
        entry(project.id, cost_nano=1, **{column: cheap}),
        entry(project.id, cost_nano=2, **{column: cheap}),
        entry(project.id, cost_nano=10, **{column: dear}),
    )
    rows = project.usage(group)
    assert [(row.group, row.calls, row.cost_nano) for row in rows] == [
        ({group: dear}, 1, 10),
        ({group: cheap}, 2, 3),
    ]


def test_sums_by_project(project):
    project.add(entry(project.id))
    assert [row.group for row in project.usage("project")] == [{"project": project.id}]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-03-01T00:00:00+00:00", "2026-03-01"),
        ("2026-03-01T23:59:59.999999+00:00", "2026-03-01"),
        ("2026-03-02T00:00:00+00:00", "2026-03-02"),
        ("2026-03-02T01:00:00+05:30", "2026-03-01"),
        ("2024-02-29T12:00:00+00:00", "2024-02-29"),
    ],
)
def test_days_are_those_of_utc(project, at, day):
    project.add(entry(project.id, datetime.fromisoformat(at)))
    assert [row.group for row in project.usage("day")] == [{"day": day}]


def test_sums_by_several_groups(project):
    for day, model, cost in ((1, "a", 1), (1, "b", 20), (2, "a", 300), (2, "a", 4000)):
        project.add(
            entry(project.id, datetime(2026, 3, day, tzinfo=UTC), model=model, cost_nano=cost)
        )
    rows = project.usage("day", "model")
    assert [(row.group, row.cost_nano) for row in rows] == [
        ({"day": "2026-03-02", "model": "a"}, 4300),
        ({"day": "2026-03-01", "model": "b"}, 20),
        ({"day": "2026-03-01", "model": "a"}, 1),
    ]


def test_all_groups_at_once(project):
    project.add(entry(project.id))
    (row,) = project.usage(*reports.GROUPS)
    assert set(row.group) == set(reports.GROUPS)


def test_sums_between_two_instants_hold_the_first_and_not_the_last(project):
    project.add(*(entry(project.id, NOON + timedelta(hours=n), cost_nano=10**n) for n in range(4)))
    (row,) = project.usage(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3))
    assert (row.calls, row.cost_nano) == (2, 110)


def test_sums_are_exact_beyond_what_a_float_holds(project):
    project.add(entry(project.id, cost_nano=2**53), entry(project.id, cost_nano=1))
    (row,) = project.usage("model")
    assert row.cost_nano == 2**53 + 1
    assert isinstance(row.cost_nano, int)


# --- whether the books agree -------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["key", "user", "project", "organisation"])
@pytest.mark.parametrize("column", ["spent_nano", "reserved_nano", "open_calls"])
def test_a_balance_that_was_tampered_with_is_found(shared_database, scope, column):
    with Books(shared_database) as books:
        books.teller.post(books.admit(100), settlement(60))
        receipt = books.admit(7)
        assert books.differences() == []
        _change(books, scope, column, 5)
        (difference,) = books.differences()
        assert (difference.scope_kind, difference.column) == (scope, column)
        assert difference.stored == difference.computed + 5
        _change(books, scope, column, -5)
        books.teller.post(receipt, settlement(1))


def _change(books: Books, scope: str, column: str, by: int) -> None:
    changed = getattr(Balance, column)
    with books.database.write() as session:
        session.execute(
            update(Balance)
            .where(Balance.id.in_(books.principal.balance_ids), Balance.scope_kind == scope)
            .values({column: changed + by})
        )


def test_a_row_that_was_taken_away_is_found(shared_database):
    with Books(shared_database) as books:
        receipt = books.admit(100)
        with books.database.write() as session:
            row = session.get_one(Reservation, receipt.record.call_id)
            session.delete(row)
        found = {(item.scope_kind, item.column) for item in books.differences()}
        assert {("key", "reserved_nano"), ("organisation", "open_calls")} <= found
        with books.database.write() as session:
            session.execute(
                update(Balance)
                .where(Balance.id.in_(books.principal.balance_ids))
                .values(
                    reserved_nano=Balance.reserved_nano - 100, open_calls=Balance.open_calls - 1
                )
            )
        assert books.differences() == []
