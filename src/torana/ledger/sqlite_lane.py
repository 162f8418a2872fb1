"""The teller's lane on SQLite: one writer at a time, in a native thread, on this host's clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects.sqlite.pysqlite import dialect as SqliteDialect  # noqa: N812 -- a class

from torana.db.models import Balance as BalanceRow
from torana.db.models import LedgerEntry, Reservation
from torana.db.prepared import Prepared
from torana.db.session import Database, open_sqlite
from torana.errors import LedgerUnavailable, UnwritableRow
from torana.ledger.lanes import BALANCE_COLUMNS, Job, Lane, Settled
from torana.offload import native_lock, offload


class SqliteLane(Lane):
    """A lane on an SQLite file; see `Lane`."""

    def __init__(self, database: Database, owner_id: str) -> None:
        super().__init__(owner_id)
        dialect = SqliteDialect(paramstyle="named")
        table = BalanceRow.__table__
        self._insert_reservation = Prepared(insert(Reservation.__table__), dialect)  # type: ignore[arg-type]
        self._insert_entry = Prepared(insert(LedgerEntry.__table__), dialect)  # type: ignore[arg-type]
        self._update_balance = Prepared(
            update(table)  # type: ignore[arg-type]
            .where(table.c.id == bindparam("id"))
            .values(
                spent_nano=bindparam("spent_nano"),
                reserved_nano=bindparam("reserved_nano"),
                open_calls=bindparam("open_calls"),
            ),
            dialect,
        )
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
        self, balance_ids: list[str], posted: list[str]
    ) -> tuple[datetime, list[tuple[Any, ...]], set[str]]:
        connection = self._connection
        if connection is None:
            connection = self._connection = open_sqlite(self._path)
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute(
            f"SELECT {BALANCE_COLUMNS} FROM balances "  # noqa: S608 -- constants
            "WHERE id IN (SELECT value FROM json_each(?))",
            (_json(balance_ids),),
        ).fetchall()
        released: set[str] = set()
        if posted:
            released = {
                row[0]
                for row in connection.execute(
                    "DELETE FROM reservations WHERE call_id IN (SELECT value FROM json_each(?)) "
                    "RETURNING call_id",
                    (_json(posted),),
                ).fetchall()
            }
        return datetime.now(UTC), rows, released

    def _commit(
        self,
        settled: Settled,
        reservations: list[dict[str, Any]],
        entries: list[dict[str, Any]],
        balances: list[dict[str, Any]],
    ) -> None:
        del settled
        connection = self._connection
        if connection is None:
            message = "commit without a transaction"
            raise RuntimeError(message)
        for statement, rows in (
            (self._insert_reservation, reservations),
            (self._insert_entry, entries),
            (self._update_balance, balances),
        ):
            connection.executemany(statement.sql, [statement.bind(row) for row in rows])
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection, and with it an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _json(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
