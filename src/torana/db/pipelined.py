"""Many prepared statements in one round trip, without the driver's work for each of them.

The teller settles a batch in two such trips. psycopg's own pipeline waits and converts statement by
statement, which costs more than the rest of a small batch; here libpq is asked directly, through
psycopg's binding of it, all statements travel together and their answers are taken as they come.
Source: "Pipeline Mode" in PostgreSQL's manual of libpq.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from psycopg import OperationalError, errors
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from torana.db.bounded import BoundedConnection
from torana.db.models.base import from_microseconds

Statement: TypeAlias = tuple[str, Sequence[bytes | None]]
"""SQL with `$1`, `$2` ..., and its parameters as text."""


class Pipelined:
    """The statements that a connection has prepared, and the way to run them.

    Args:
        connection: no statement of it may be under way.
    """

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection
        self._names: dict[str, bytes] = {}

    def run(self, statements: Iterable[Statement]) -> list[PGresult]:
        """Run statements in one round trip; what fails ends those after it.

        Returns:
            One result per statement.

        Raises:
            psycopg.Error: of the first statement that failed; OperationalError when the server is
                gone or silent.
        """
        pgconn = self._connection.pgconn
        pgconn.enter_pipeline_mode()
        prepared: list[bool] = []
        for sql, parameters in statements:
            name = self._names.get(sql)
            if name is None:
                word = sql.partition(" ")[0].encode()  # So that a trace of the wire can be read.
                name = self._names[sql] = b"%b_%d" % (word, len(self._names))
                pgconn.send_prepare(name, sql.encode())
                prepared.append(True)
            pgconn.send_query_prepared(name, parameters)
            prepared.append(False)
        pgconn.pipeline_sync()
        results = self._connection.wait(_exchange(pgconn))
        pgconn.exit_pipeline_mode()
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result, encoding="utf-8")
        return [
            result
            for result, was_prepared in zip(results, prepared, strict=True)
            if not was_prepared
        ]


def _exchange(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Send all that is queued, and take the answers up to the end of the pipeline."""
    while pgconn.flush():
        ready = yield Wait.RW
        if ready & Ready.R:
            # The server may have to be rid of answers before it can read on.
            pgconn.consume_input()
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue  # Between the answers of two statements.
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results
        if result.status == ExecStatus.FATAL_ERROR and not _lives(pgconn):
            raise OperationalError("the server closed the connection")
        results.append(result)


def _lives(pgconn: PGconn) -> bool:
    return pgconn.status == 0


def array(texts: Iterable[str]) -> bytes:
    """Texts as the literal of an array of texts."""
    quoted = [
        text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
        for text in texts
    ]
    return b'{"%b"}' % '","'.join(quoted).encode() if quoted else b"{}"


def text_of(value: bytes | None) -> str | None:
    """A text column."""
    return None if value is None else value.decode()


def number_of(value: bytes | None) -> int | None:
    """An integer column."""
    return None if value is None else int(value)


def instant_of(value: bytes | None) -> datetime | None:
    """A column of microseconds since 1970."""
    return None if value is None else from_microseconds(int(value))
