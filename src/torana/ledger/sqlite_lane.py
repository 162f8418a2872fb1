"""The teller's lane on SQLite: one writer at a time, in a native thread, on this host's clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.dialects.sqlite.pysqlite import dialect as SqliteDialect  # noqa: N812 -- a class

from torana.db.models import Balance as BalanceRow
from torana.db.models import (
    BudgetEvent,
    IdempotentCall,
    LedgerEntry,
    Reservation,
    StoredResponse,
    SuspendedTarget,
    UsageRollup,
)
from torana.db.models.base import from_microseconds, to_microseconds
from torana.db.prepared import Prepared
from torana.db.session import Database, open_sqlite
from torana.errors import LedgerUnavailable, UnwritableRow
from torana.ledger.decide import FIGURES, Abandoned, ClaimRow
from torana.ledger.directory import Dynamic, named_scopes
from torana.ledger.jobs import Job, PostJob, Settled, open_call
from torana.ledger.lanes import BALANCE_COLUMNS, Lane, Locked
from torana.ledger.rollups import COUNTS
from torana.ledger.writes import Writes
from torana.offload import native_lock, offload

_IDS = "IN (SELECT value FROM json_each(?))"
_OPEN = f"SELECT call_id, balance_ids, bound_nano, tokens, idempotency_id FROM reservations WHERE call_id {_IDS}"  # noqa: E501, S608 -- constants
_WINDOW_START, _WINDOW_END = 9, 10
"""Where `BALANCE_COLUMNS` has them."""


def _statements() -> tuple[tuple[str, Prepared], ...]:
    """What is written from rows, by the name in `Writes`, in this order."""
    dialect = SqliteDialect(paramstyle="named")
    balances, reservations = BalanceRow.__table__, Reservation.__table__
    rollups = upsert(UsageRollup.__table__)  # type: ignore[arg-type]
    claims = upsert(IdempotentCall.__table__)  # type: ignore[arg-type]

    def change(table: Any, key: str, names: Sequence[str]) -> Any:
        values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
        return update(table).where(table.c[key] == bindparam(f"old_{key}")).values(values)

    made = {
        "windows": insert(balances),  # type: ignore[arg-type]
        "reservations": insert(reservations),  # type: ignore[arg-type]
        "extended": change(
            reservations, "call_id", ("bound_nano", "provider", "target_model", "price_id")
        ),
        "entries": insert(LedgerEntry.__table__),  # type: ignore[arg-type]
        "rollups": rollups.on_conflict_do_update(
            index_elements=["bucket_start", "digest"],
            set_={name: UsageRollup.__table__.c[name] + rollups.excluded[name] for name in COUNTS},
        ),
        "events": insert(BudgetEvent.__table__),  # type: ignore[arg-type]
        "responses": upsert(StoredResponse.__table__).on_conflict_do_nothing(),  # type: ignore[arg-type]
        "claims": claims.on_conflict_do_update(
            index_elements=["id"],
            set_={
                name: claims.excluded[name]
                for name in ("fingerprint", "call_id", "expires_at", "answer")
            },
        ),
        "changed": change(balances, "id", FIGURES),
        "terms": change(balances, "id", ("terms",)),
        "suspended": upsert(SuspendedTarget.__table__).on_conflict_do_nothing(),  # type: ignore[arg-type]
    }
    return tuple((name, Prepared(statement, dialect)) for name, statement in made.items())


class SqliteLane(Lane):
    """A lane on an SQLite file; see `Lane`."""

    def __init__(self, database: Database, owner_id: str) -> None:
        super().__init__(owner_id)
        self._statements = _statements()
        self._path = Path(database.url.database or "")
        self._connection: sqlite3.Connection | None = None
        # A caller that was killed leaves its batch running in its native thread.
        self._alone = native_lock()

    def settle(self, batch: Sequence[Job]) -> Settled:
        """Settle a batch where it may block."""
        return offload(self._settle_here, batch)

    def _settle_here(self, batch: Sequence[Job]) -> Settled:
        """Settle in this thread; it also closes the connection, so that no other uses it then."""
        with self._alone:
            try:
                return super().settle(batch)
            except (sqlite3.OperationalError, sqlite3.InternalError) as error:
                self.close()
                raise LedgerUnavailable("The ledger is not available.", retry_after=1) from error
            except (sqlite3.Error, OverflowError) as error:
                self.close()
                raise UnwritableRow("The ledger refused an entry.") from error
            except BaseException:
                self.close()
                raise

    def _begin(
        self, balance_ids: list[str], posts: list[str], extends: list[str], claims: list[str]
    ) -> Locked:
        if self._connection is None:
            self._connection = open_sqlite(self._path)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        now = datetime.now(UTC)
        rows = connection.execute(
            f"SELECT {BALANCE_COLUMNS} FROM balances WHERE id {_IDS}",  # noqa: S608 -- constants
            (_json(balance_ids),),
        ).fetchall()
        calls = []
        if posts or extends:
            calls = connection.execute(_OPEN, (_json([*posts, *extends]),)).fetchall()
        if posts:
            connection.execute(
                f"DELETE FROM reservations WHERE call_id {_IDS}",  # noqa: S608 -- constants
                (_json(posts),),
            )
        found = []
        if claims:
            found = connection.execute(
                "SELECT id, fingerprint, call_id, answer IS NOT NULL FROM idempotent_calls "  # noqa: S608 -- constants
                f"WHERE id {_IDS} AND expires_at > ?",
                (_json(claims), to_microseconds(now)),
            ).fetchall()
        return Locked(
            now,
            [_with_instants(row) for row in rows],
            {row[0]: open_call(orjson.loads(row[1]), *row[2:]) for row in calls},
            {row[0]: ClaimRow(row[1], row[2], bool(row[3])) for row in found},
        )

    def _rollback(self) -> None:
        self._open_connection().execute("ROLLBACK")

    def _dynamic_account(self, scope: Dynamic) -> tuple[str | None, bool]:
        connection = self._open_connection()
        found = connection.execute(
            "SELECT id FROM balances WHERE scope_kind = ? AND scope_id = ? AND budget_id = ''",
            (scope.scope_kind, scope.scope_id),
        ).fetchone()
        if found is not None:
            return found[0], False
        template = connection.execute(
            "SELECT 1 FROM budgets WHERE is_template AND scope_kind = ? AND scope_id = ?",
            (scope.scope_kind, scope.template_id),
        ).fetchone()
        return None, template is not None

    def _abandoned(self, jobs: dict[str, PostJob]) -> dict[str, Abandoned]:
        connection = self._open_connection()
        found = {}
        rows = connection.execute(
            "SELECT call_id, sum(cost_nano) FROM ledger_entries "  # noqa: S608 -- constants
            f"WHERE call_id {_IDS} GROUP BY call_id "
            "HAVING max(seq) = 0 AND min(status = 'abandoned')",
            (_json(jobs),),
        ).fetchall()
        for call_id, cost_nano in rows:
            receipt = jobs[call_id].receipt
            instant = to_microseconds(receipt.admitted_at)
            # An end user's or a tag's account may have been opened after the call was admitted.
            windows = connection.execute(
                "SELECT id FROM balances WHERE (scope_kind, scope_id) IN ("  # noqa: S608 -- constants
                f"SELECT scope_kind, scope_id FROM balances WHERE id {_IDS} "
                "UNION SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') "
                "FROM json_each(?)) "
                "AND window_start <= ? AND (window_end IS NULL OR window_end > ?)",
                (
                    _json(receipt.balance_ids),
                    orjson.dumps(named_scopes(receipt.record)).decode(),
                    instant,
                    instant,
                ),
            ).fetchall()
            found[call_id] = Abandoned(cost_nano, tuple(sorted(row[0] for row in windows)))
        return found

    def _commit(self, settled: Settled, writes: Writes) -> None:
        del settled
        connection = self._open_connection()
        for name, statement in self._statements:
            rows = getattr(writes, name)
            if rows:
                if name in _CHANGES:
                    rows = [_renamed(row, _CHANGES[name]) for row in rows]
                connection.executemany(statement.sql, [statement.bind(row) for row in rows])
        for released in writes.released:
            connection.execute(
                "DELETE FROM idempotent_calls WHERE id = ? AND call_id = ?", released
            )
        for answer in writes.answers:
            connection.execute(
                "UPDATE idempotent_calls SET answer = ? WHERE id = ? AND call_id = ?", answer
            )
        if writes.suspended:
            connection.execute("UPDATE config_version SET version = version + 1")
        connection.execute("COMMIT")

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            message = "no transaction is open"
            raise RuntimeError(message)
        return self._connection

    def close(self) -> None:
        """Close the connection, and with it an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_CHANGES = {"extended": "call_id", "changed": "id", "terms": "id"}
"""Updates, and the column that says of which row."""


def _renamed(row: dict[str, Any], key: str) -> dict[str, Any]:
    """A row with the names of an update's parameters."""
    return {f"old_{name}" if name == key else f"new_{name}": row[name] for name in row}


def _with_instants(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (
        *row[:_WINDOW_START],
        from_microseconds(row[_WINDOW_START]),
        from_microseconds(row[_WINDOW_END]),
        *row[_WINDOW_END + 1 :],
    )


def _json(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
