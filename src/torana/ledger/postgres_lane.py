"""The teller's lane on PostgreSQL: row locks, two round trips, the server's clock.

Rows travel as one JSON document a statement: the driver's work for each parameter of each row would
cost the web process more than the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import psycopg

from torana.db.bounded import BoundedConnection
from torana.db.models import LedgerEntry, Reservation
from torana.db.session import Database
from torana.errors import LedgerUnavailable, UnwritableRow
from torana.ledger.lanes import BALANCE_COLUMNS, Job, Lane, Settled

_SETTINGS = (
    # A stopped process must not hold the rows: the server ends its transaction.
    "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=2000 "
    "-c statement_timeout=2500 -c timezone=UTC"
)
_LOCK = (
    f"SELECT {BALANCE_COLUMNS}, clock_timestamp() FROM balances "  # noqa: S608 -- constants
    "WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
)
_RELEASE = "DELETE FROM reservations WHERE call_id = ANY(%s) RETURNING call_id"
_FIND = (
    "SELECT EXISTS (SELECT FROM reservations WHERE call_id = ANY(%s)) "
    "OR EXISTS (SELECT FROM ledger_entries WHERE call_id = ANY(%s))"
)
_UPDATE_BALANCES = (
    "UPDATE balances SET spent_nano = new.spent_nano, reserved_nano = new.reserved_nano, "
    "open_calls = new.open_calls "
    "FROM json_populate_recordset(NULL::balances, %s::json) AS new WHERE balances.id = new.id"
)


def _insert(model: type[LedgerEntry | Reservation]) -> str:
    table = model.__table__
    columns = ", ".join(column.name for column in table.columns)
    return (
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} "  # type: ignore[attr-defined]  # noqa: S608 -- our tables
        f"FROM json_populate_recordset(NULL::{table.name}, %s::json)"  # type: ignore[attr-defined]
    )


class _Doubtful(msgspec.Struct, frozen=True):
    """A batch whose commit was sent and not yet answered."""

    settled: Settled
    balance_ids: list[str]
    admitted: list[str]
    posted: list[str]


class PostgresLane(Lane):
    """A lane on a PostgreSQL server; see `Lane`."""

    _insert_reservations = _insert(Reservation)
    _insert_entries = _insert(LedgerEntry)

    def __init__(self, database: Database, owner_id: str) -> None:
        super().__init__(owner_id)
        url = database.url.set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._connection: BoundedConnection | None = None
        self._doubtful: _Doubtful | None = None

    def settle(self, batch: Sequence[Job]) -> Settled:
        """Settle a batch; a connection that failed is thrown away, and the batch repeated once.

        When the connection was lost at the commit, the database is asked whether that happened
        before anything is repeated.
        """
        self._take_doubtful()  # What is not known of an earlier batch says nothing of this one.
        try:
            try:
                return self._settle(batch)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                doubtful = self._take_doubtful()
                if doubtful is not None and self._has_happened(doubtful):
                    return doubtful.settled
                return self._settle(batch)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LedgerUnavailable("The ledger is not available.", retry_after=1) from error
        except psycopg.Error as error:
            raise UnwritableRow("The ledger refused an entry.") from error

    def _take_doubtful(self) -> _Doubtful | None:
        doubtful, self._doubtful = self._doubtful, None
        return doubtful

    def _settle(self, batch: Sequence[Job]) -> Settled:
        try:
            return super().settle(batch)
        except BaseException:
            # Whatever broke, the open transaction goes with its connection.
            self.close()
            raise

    def _has_happened(self, doubtful: _Doubtful) -> bool:
        """Whether a batch was committed whose answer was lost.

        The balances are locked first: while the old transaction still runs, it holds them.
        """
        connection = self._connect()
        try:
            connection.execute(_LOCK, (doubtful.balance_ids,))
            found = connection.execute(_FIND, (doubtful.admitted, doubtful.posted)).fetchone()
            connection.rollback()
        except BaseException:
            self.close()
            raise
        return found is not None and bool(found[0])

    def _begin(
        self, balance_ids: list[str], posted: list[str]
    ) -> tuple[datetime, list[tuple[Any, ...]], set[str]]:
        connection = self._connection or self._connect()
        released: set[str] = set()
        with (
            connection.pipeline(),
            connection.cursor() as locking,
            connection.cursor() as releasing,
        ):
            locking.execute(_LOCK, (balance_ids,), prepare=True)
            if posted:
                releasing.execute(_RELEASE, (posted,), prepare=True)
            rows = locking.fetchall()
            if posted:
                released = {row[0] for row in releasing.fetchall()}
        # Without a balance nothing is admitted, and the entry's time is of no consequence.
        now = rows[0][-1] if rows else datetime.now(UTC)
        return now, [row[:-1] for row in rows], released

    def _commit(
        self,
        settled: Settled,
        reservations: list[dict[str, Any]],
        entries: list[dict[str, Any]],
        balances: list[dict[str, Any]],
    ) -> None:
        connection = self._connection
        if connection is None:
            message = "commit without a transaction"
            raise RuntimeError(message)
        if reservations or entries:
            self._doubtful = _Doubtful(
                settled,
                [row["id"] for row in balances],
                [row["call_id"] for row in reservations],
                [row["call_id"] for row in entries],
            )
        with connection.pipeline(), connection.cursor() as cursor:
            for statement, rows in (
                (self._insert_reservations, reservations),
                (self._insert_entries, entries),
                (_UPDATE_BALANCES, balances),
            ):
                if rows:
                    cursor.execute(statement, (orjson.dumps(rows).decode(),), prepare=True)
            connection.commit()
        self._doubtful = None

    def _connect(self) -> BoundedConnection:
        connection = BoundedConnection.connect(
            self._conninfo,
            connect_timeout=2,
            application_name="torana-teller",
            options=_SETTINGS,
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            tcp_user_timeout=3000,
        )
        self._connection = connection
        return connection

    def close(self) -> None:
        """Close the connection, and with it an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
