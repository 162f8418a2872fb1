"""The teller's lane on PostgreSQL: row locks, two round trips, the server's clock.

Rows travel as one JSON document a statement: the driver's work for each parameter of each row would
cost the web process more than the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import orjson
import psycopg
from psycopg.pq.abc import PGresult

from torana.core.clock import instant_at
from torana.db.bounded import BoundedConnection
from torana.db.models import (
    Balance,
    Base,
    BudgetEvent,
    IdempotentCall,
    LedgerEntry,
    Reservation,
    StoredResponse,
    SuspendedTarget,
    UsageRollup,
)
from torana.db.pipelined import Pipelined, Statement, array, instant_of, number_of, text_of
from torana.db.session import Database
from torana.errors import LedgerUnavailable, UnwritableRow
from torana.ledger.decide import FIGURES, Abandoned, ClaimRow, OpenCall
from torana.ledger.directory import Dynamic, named_scopes
from torana.ledger.jobs import CommitUnheard, Job, PostJob, Settled, open_call
from torana.ledger.lanes import BALANCE_COLUMNS, Lane, Locked
from torana.ledger.rollups import COUNTS
from torana.ledger.writes import Writes, call_ids

_SETTINGS = (
    # A stopped process must not hold the rows: the server ends its transaction.
    "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=2000 "
    "-c statement_timeout=2500 -c timezone=UTC"
)
_AT_MOST = (
    # Where there is such a setting (from 17 on): a process that stops between two packets.
    "SELECT set_config('transaction_timeout', '3s', false) "
    "WHERE current_setting('server_version_num')::int >= 170000"
)


def _microseconds(instant: str) -> str:
    """SQL for an instant as microseconds since 1970."""
    return f"(extract(epoch from {instant}) * 1000000)::bigint"


_LOCK = (
    "SELECT "  # noqa: S608 -- constants
    + BALANCE_COLUMNS.replace("window_start", _microseconds("window_start")).replace(
        "window_end", _microseconds("window_end")
    )
    + " FROM balances WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
)
_OPEN = "balance_ids, bound_nano, tokens, idempotency_id"
_RELEASE = f"DELETE FROM reservations WHERE call_id = ANY($1::text[]) RETURNING call_id, {_OPEN}"  # noqa: S608 -- constants
_READ_OPEN = f"SELECT call_id, {_OPEN} FROM reservations WHERE call_id = ANY($1::text[])"  # noqa: S608 -- constants
_CLAIMS = (
    "SELECT id, fingerprint, call_id, answer IS NOT NULL FROM idempotent_calls "
    "WHERE id = ANY($1::text[]) AND expires_at > clock_timestamp()"
)
_CLOCK = f"SELECT {_microseconds('clock_timestamp()')}"
_COLUMNS: tuple[Callable[[bytes | None], Any], ...] = (
    *(text_of, text_of, text_of),
    *(number_of, number_of, number_of, number_of),
    *(text_of, text_of, instant_of, instant_of),
    *(number_of, number_of, number_of, text_of),
)
"""How each of `BALANCE_COLUMNS` is read."""
# An admission that the sweeper has posted meanwhile did happen; a posting of the sweeper's is not
# ours, which the instant tells.
_FIND = (
    "SELECT EXISTS (SELECT FROM reservations WHERE call_id = ANY(%(admitted)s)) "
    "OR EXISTS (SELECT FROM ledger_entries WHERE call_id = ANY(%(admitted)s)) "
    "OR EXISTS (SELECT FROM ledger_entries WHERE call_id = ANY(%(posted)s) AND posted_at = %(now)s)"
)
_UPDATE_BALANCES = (
    f"UPDATE balances SET {', '.join(f'{name} = new.{name}' for name in FIGURES)} "  # noqa: S608 -- constants
    "FROM json_populate_recordset(NULL::balances, $1::json) AS new WHERE balances.id = new.id"
)
_UPDATE_TERMS = (
    "UPDATE balances SET terms = new.terms "
    "FROM json_populate_recordset(NULL::balances, $1::json) AS new WHERE balances.id = new.id"
)
_EXTEND = (
    "UPDATE reservations SET bound_nano = new.bound_nano, provider = new.provider, "
    "target_model = new.target_model, price_id = new.price_id "
    "FROM json_populate_recordset(NULL::reservations, $1::json) AS new "
    "WHERE reservations.call_id = new.call_id"
)
_RELEASE_CLAIM = "DELETE FROM idempotent_calls WHERE id = $1 AND call_id = $2"
_ANSWER = "UPDATE idempotent_calls SET answer = $1 WHERE id = $2 AND call_id = $3"
_RESPONSE_COLUMNS = ", ".join(column.name for column in StoredResponse.__table__.columns)
# The content beside the row: as a part of it, it would be escaped and parsed as JSON.
_RESPONSE = (
    f"INSERT INTO stored_responses ({_RESPONSE_COLUMNS}) "  # noqa: S608 -- our table
    f"SELECT {_RESPONSE_COLUMNS.replace('content', '$2::bytea')} "
    "FROM json_populate_record(NULL::stored_responses, $1::json) ON CONFLICT DO NOTHING"
)
_RAISE_VERSION = "UPDATE config_version SET version = version + 1"
_ACCOUNT = "SELECT id FROM balances WHERE scope_kind = %s AND scope_id = %s AND budget_id = ''"
_TEMPLATE = (
    "SELECT EXISTS (SELECT FROM budgets WHERE is_template AND scope_kind = %s AND scope_id = %s)"
)
_ABANDONED = (
    "SELECT call_id, sum(cost_nano) FROM ledger_entries WHERE call_id = ANY(%s) "
    "GROUP BY call_id HAVING max(seq) = 0 AND bool_and(status = 'abandoned')"
)
# An end user's or a tag's account may have been opened after the call was admitted.
_WINDOWS_AT = (
    "SELECT id FROM balances WHERE (scope_kind, scope_id) IN ("
    "SELECT scope_kind, scope_id FROM balances WHERE id = ANY(%s) "
    "UNION SELECT * FROM unnest(%s::text[], %s::text[])) "
    "AND window_start <= %s AND (window_end IS NULL OR window_end > %s)"
)


def _insert(model: type[Base], conflict: str = "") -> str:
    table = model.__table__
    columns = ", ".join(column.name for column in table.columns)
    return (
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} "  # type: ignore[attr-defined]  # noqa: S608 -- our tables
        f"FROM json_populate_recordset(NULL::{table.name}, $1::json) {conflict}"  # type: ignore[attr-defined]
    )


_STATEMENTS: tuple[tuple[str, str], ...] = (
    ("windows", _insert(Balance)),
    ("reservations", _insert(Reservation)),
    ("extended", _EXTEND),
    ("entries", _insert(LedgerEntry)),
    (
        "rollups",
        _insert(
            UsageRollup,
            "ON CONFLICT (bucket_start, digest) DO UPDATE SET "
            + ", ".join(f"{name} = usage_rollups.{name} + excluded.{name}" for name in COUNTS),
        ),
    ),
    ("events", _insert(BudgetEvent)),
    (
        "claims",
        _insert(
            IdempotentCall,
            "ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, "
            "call_id = excluded.call_id, expires_at = excluded.expires_at, answer = NULL",
        ),
    ),
    ("changed", _UPDATE_BALANCES),
    ("terms", _UPDATE_TERMS),
    ("suspended", _insert(SuspendedTarget, "ON CONFLICT DO NOTHING")),
)
"""What is written from rows, by the name in `Writes`, in this order."""


class _Doubtful(msgspec.Struct, frozen=True):
    """A batch whose commit was sent and not yet answered."""

    settled: Settled
    balance_ids: list[str]
    admitted: list[str]
    posted: list[str]


class PostgresLane(Lane):
    """A lane on a PostgreSQL server; see `Lane`."""

    def __init__(self, database: Database, owner_id: str) -> None:
        super().__init__(owner_id)
        url = database.url.set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._connection: BoundedConnection | None = None
        self._pipelined: Pipelined | None = None
        self._doubtful: _Doubtful | None = None

    def settle(self, batch: Sequence[Job]) -> Settled:
        """Settle a batch; a connection that failed is thrown away, and the batch repeated once.

        When the connection was lost at the commit, the database is asked whether that happened
        before anything is repeated.

        Raises:
            CommitUnheard: it could not be asked.
        """
        self._take_doubtful()  # What is not known of an earlier batch says nothing of this one.
        doubtful = None
        try:
            try:
                return self._settle(batch)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                doubtful = self._take_doubtful()
                if doubtful is not None and self._has_happened(doubtful):
                    return doubtful.settled
                doubtful = None
                return self._settle(batch)
        except (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            # Not the row's fault: the server is read-only, or has ended the transaction.
            psycopg.InternalError,
        ) as error:
            doubtful = self._take_doubtful() or doubtful
            if doubtful is not None:
                raise CommitUnheard(doubtful.settled) from error
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
            self._run([(_LOCK, (array(doubtful.balance_ids),))])
            found = connection.execute(
                _FIND,
                {
                    "admitted": doubtful.admitted,
                    "posted": doubtful.posted,
                    "now": doubtful.settled.now,
                },
            ).fetchone()
            connection.rollback()
        except BaseException:
            self.close()
            raise
        return found is not None and bool(found[0])

    def _begin(
        self, balance_ids: list[str], posts: list[str], extends: list[str], claims: list[str]
    ) -> Locked:
        if self._connection is None:
            self._connect()
        asked: list[tuple[str, list[str]]] = [(_LOCK, balance_ids)]
        asked += [
            (statement, values)
            for statement, values in ((_RELEASE, posts), (_READ_OPEN, extends), (_CLAIMS, claims))
            if values
        ]
        statements: list[Statement] = [(sql, (array(values),)) for sql, values in asked]
        # The clock after the locks: whoever waited for them must not live in the past.
        *results, clock = self._run([*statements, (_CLOCK, ())])
        answers = {sql: result for (sql, _), result in zip(asked, results, strict=True)}
        locked = answers[_LOCK]
        return Locked(
            instant_at(int(clock.get_value(0, 0) or 0)),
            [
                tuple([read(locked.get_value(row, at)) for at, read in enumerate(_COLUMNS)])
                for row in range(locked.ntuples)
            ],
            dict(_calls(answers.get(_RELEASE))) | dict(_calls(answers.get(_READ_OPEN))),
            dict(_claims(answers.get(_CLAIMS))),
        )

    def _run(self, statements: Sequence[Statement]) -> list[PGresult]:
        """Run statements in a new transaction, in one round trip."""
        return self._round_trip([("BEGIN", ()), *statements])[1:]

    def _round_trip(self, statements: Sequence[Statement]) -> list[PGresult]:
        if self._pipelined is None:
            message = "no connection is open"
            raise RuntimeError(message)
        return self._pipelined.run(statements)

    def _rollback(self) -> None:
        self._open_connection().rollback()

    def _dynamic_account(self, scope: Dynamic) -> tuple[str | None, bool]:
        connection = self._open_connection()
        found = connection.execute(_ACCOUNT, (scope.scope_kind, scope.scope_id)).fetchone()
        if found is not None:
            return found[0], False
        template = connection.execute(_TEMPLATE, (scope.scope_kind, scope.template_id)).fetchone()
        return None, template is not None and bool(template[0])

    def _abandoned(self, jobs: dict[str, PostJob]) -> dict[str, Abandoned]:
        connection = self._open_connection()
        found = {}
        for call_id, cost_nano in connection.execute(_ABANDONED, (list(jobs),)).fetchall():
            receipt = jobs[call_id].receipt
            named = named_scopes(receipt.record)
            windows = connection.execute(
                _WINDOWS_AT,
                (
                    list(receipt.balance_ids),
                    [kind for kind, _ in named],
                    [scope_id for _, scope_id in named],
                    receipt.admitted_at,
                    receipt.admitted_at,
                ),
            ).fetchall()
            found[call_id] = Abandoned(int(cost_nano), tuple(sorted(row[0] for row in windows)))
        return found

    def _commit(self, settled: Settled, writes: Writes) -> None:
        if writes.reservations or writes.entries:
            self._doubtful = _Doubtful(
                settled,
                [row["id"] for row in writes.changed],
                call_ids(writes.reservations),
                call_ids(writes.entries),
            )
        statements: list[Statement] = [
            (statement, (orjson.dumps(rows),))
            for name, statement in _STATEMENTS
            if (rows := getattr(writes, name))
        ]
        for claim_id, call_id in writes.released:
            statements.append((_RELEASE_CLAIM, (claim_id.encode(), call_id.encode())))
        for answer, claim_id, call_id in writes.answers:
            statements.append((_ANSWER, (_binary(answer), claim_id.encode(), call_id.encode())))
        for row in writes.responses:
            content = row.pop("content")
            statements.append(
                (_RESPONSE, (orjson.dumps(row), None if content is None else _binary(content)))
            )
        if writes.suspended:
            statements.append((_RAISE_VERSION, ()))
        self._round_trip([*statements, ("COMMIT", ())])
        self._doubtful = None

    def _open_connection(self) -> BoundedConnection:
        if self._connection is None:
            message = "no transaction is open"
            raise RuntimeError(message)
        return self._connection

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
        try:
            connection.execute(_AT_MOST)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._pipelined = Pipelined(connection)
        return connection

    def close(self) -> None:
        """Close the connection, and with it an open transaction."""
        connection, self._connection = self._connection, None
        self._pipelined = None
        if connection is not None:
            connection.close()


def _binary(content: bytes) -> bytes:
    """Bytes as the literal of a bytea."""
    return b"\\x%b" % content.hex().encode()


def _calls(result: PGresult | None) -> Iterator[tuple[str, OpenCall]]:
    """Reservations by their calls."""
    for row in range(result.ntuples if result is not None else 0):
        call_id, ids, bound, tokens, claim = [result.get_value(row, at) for at in range(5)]  # type: ignore[union-attr]
        yield (
            text_of(call_id) or "",
            open_call(
                orjson.loads(ids or b"[]"), int(bound or 0), int(tokens or 0), text_of(claim)
            ),
        )


def _claims(result: PGresult | None) -> Iterator[tuple[str, ClaimRow]]:
    """Idempotency-Keys by their ids."""
    for row in range(result.ntuples if result is not None else 0):
        name, fingerprint, call_id, answered = [result.get_value(row, at) for at in range(4)]  # type: ignore[union-attr]
        yield (
            text_of(name) or "",
            ClaimRow(text_of(fingerprint) or "", text_of(call_id) or "", answered == b"t"),
        )
