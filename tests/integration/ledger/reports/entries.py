"""Ledger entries that no teller made, written with their rollups as the teller writes them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text

from torana.core.ids import new_id
from torana.core.usage import CLASSES
from torana.db.models import LedgerEntry, UsageRollup
from torana.db.session import Database
from torana.ledger import reports
from torana.ledger.rollups import sums_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(project: str, at: datetime = NOON, **changes: Any) -> dict[str, Any]:
    """A row of the ledger."""
    fields: dict[str, Any] = {
        "admitted_at": at,
        "call_id": new_id("req"),
        "seq": 0,
        "posted_at": at,
        "organisation_id": "org_1",
        "project_id": project,
        "user_id": None,
        "key_id": "key_1",
        "end_user": None,
        "route": "openai.chat.completions",
        "model": "m",
        "provider": "p",
        "target_model": "t",
        "status": "ok",
        "counted": "provider",
        **dict.fromkeys(CLASSES, 0),
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
    assert changes.keys() <= fields.keys()
    return fields | changes


def write(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    """Insert entries and their rollups in one transaction."""
    with database.write() as session:
        session.execute(insert(LedgerEntry), list(rows))
        for row in sums_of(rows):
            there = session.get(UsageRollup, (row["bucket_start"], row["digest"]))
            if there is None:
                session.add(UsageRollup(**row))
                continue
            for name in ("calls", *CLASSES, "cost_nano"):
                setattr(there, name, getattr(there, name) + row[name])


def disarm(database: Database) -> None:
    """Take away what keeps the ledger from being damaged."""
    with database.write() as session:
        if database.is_sqlite:
            for change in ("update", "delete"):
                session.execute(text(f"DROP TRIGGER ledger_entries_no_{change}"))
        else:
            session.execute(text("DROP TRIGGER ledger_entries_append_only ON ledger_entries"))


class Project:
    """A project of its own on the shared database, with rows that no key made."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = f"proj_{secrets.token_hex(8)}"
        self.where = reports.Filter(project_id=(self.id,))

    def add(self, *rows: dict[str, Any]) -> list[tuple[datetime, str, int]]:
        write(self.database, rows)
        return [identity(row) for row in rows]

    def walk(self, limit: int, **asked: Any) -> list[list[tuple[datetime, str, int]]]:
        """All pages, from the first to the last."""
        pages = []
        cursor = None
        while True:
            page = self.page(limit, cursor, **asked)
            pages.append([(row.admitted_at, row.call_id, row.seq) for row in page.entries])
            cursor = page.next_cursor
            if cursor is None:
                return pages

    def page(self, limit: int, cursor: str | None = None, **asked: Any) -> reports.Page:
        where = asked.pop("where", self.where)
        with self.database.read() as session:
            return reports.entry_page(session, where=where, limit=limit, cursor=cursor, **asked)

    def usage(self, *group_by: str, **asked: Any) -> list[reports.UsageRow]:
        where = asked.pop("where", self.where)
        with self.database.read() as session:
            return reports.usage(session, group_by=group_by, where=where, **asked)

    def rows(self) -> list[dict[str, Any]]:
        columns = [getattr(LedgerEntry, name) for name in reports.COLUMNS]
        with self.database.read() as session:
            query = select(*columns).where(LedgerEntry.project_id == self.id)
            return [dict(row) for row in session.execute(query).mappings()]


def identity(row: dict[str, Any]) -> tuple[datetime, str, int]:
    return row["admitted_at"], row["call_id"], row["seq"]


def some(
    seed: int, project: str, centres: Iterable[datetime], each: int = 60, **changes: Any
) -> list[dict[str, Any]]:
    """Entries of all kinds around some instants, two days before and after, with corrections."""
    dice = random.Random(seed)
    made = []
    for centre in centres:
        for _ in range(each):
            at = centre + timedelta(microseconds=dice.randrange(-172_800, 172_800) * 1_000_000)
            if dice.random() < 0.2:
                at = at.replace(minute=dice.choice((0, 15, 30, 45)), second=0)
            if dice.random() < 0.2:
                at -= timedelta(microseconds=1)
            row = entry(
                project,
                at,
                key_id=dice.choice(("key_a", "key_b", "key_c")),
                user_id=dice.choice(("user_a", "user_b", None)),
                end_user=dice.choice((None, "alice", "bob/1", "x=y")),
                model=dice.choice(("m1", "m2")),
                provider=dice.choice(("p1", "p2")),
                target_model=dice.choice(("t1", "t2")),
                status=dice.choice(("ok", "ok", "error")),
                cost_nano=dice.randrange(2**40),
                tags=dice.choice(
                    (
                        {},
                        {"team": "red"},
                        {"team": "blue", "a.b": "c"},
                        {"a.b": "c", "team": "blue"},
                        {'o"k': "v=1"},
                    )
                ),
                **{name: dice.randrange(2**20) for name in CLASSES},
            )
            made.append(row | changes)
            if dice.random() < 0.1:
                correction = row | changes | {"seq": 1, "cost_nano": -dice.randrange(1000)}
                made.append(correction | dict.fromkeys(CLASSES, 0))
    return made
