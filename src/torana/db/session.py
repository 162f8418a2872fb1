"""Connections: an engine for SQLite or PostgreSQL, and the two ways to use it, `read` and `write`.

The teller has its own connection (`torana.ledger.store`); everything else comes through here. No
connection is held while an upstream is being waited for.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from torana.db.bounded import BoundedConnection
from torana.errors import ConfigurationError, LedgerUnavailable
from torana.offload import offload

BUSY_TIMEOUT_MS = 5000
POSTGRES_CONNECT_SECONDS = 3
PATIENCE_SECONDS = 2.0
_ALONE_LOCK = 0x616C6F6E65  # "alone"
COMMAND_PATIENCE_SECONDS = 3600.0
"""Nobody waits behind a command: a migration or a report may take its time."""


class Database:
    """One engine and its sessions.

    Args:
        url: an SQLAlchemy URL; `sqlite:///FILE` or `postgresql://...`.
        patience: seconds that a statement may take on PostgreSQL.

    Raises:
        ConfigurationError: the URL is not one of those.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS) -> None:
        self.url = parse_url(url)
        self.engine = _create_engine(self.url, patience)
        self.writing_engine = self.engine.execution_options(torana_writes=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this host."""
        return self.url.get_backend_name() == "sqlite"

    def exists(self) -> bool:
        """Whether there is a database to connect to; opening an SQLite file would make it."""
        return not self.is_sqlite or Path(self.url.database or "").exists()

    @contextmanager
    def read(self, *, patience: float | None = None) -> Iterator[Session]:
        """A session for reading; what it changes is thrown away.

        Args:
            patience: seconds that a statement may take on PostgreSQL, where that is not the
                engine's: a report over years may take its time.
        """
        with translated_errors(), Session(self.engine) as session:
            if patience is None or self.is_sqlite:
                yield session
                return
            with _patient(session, patience):
                yield session

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back when it raises.

        On SQLite the write lock is taken at the start: a transaction that began as a reader can't
        wait for it.

        Args:
            alone: wait until no other such block runs on any host: for what first looks whether
                something is there and then makes it.
        """
        writing = Session(self.writing_engine, expire_on_commit=False)
        with translated_errors(), writing as session, session.begin():
            session.connection()  # Begins now, and not with the first statement.
            if alone and not self.is_sqlite:
                session.execute(select(func.pg_advisory_xact_lock(_ALONE_LOCK)))
            yield session

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _patient(session: Session, seconds: float) -> Iterator[None]:
    """Let the statements of a session's transaction take so long."""
    connection = session.connection().connection.driver_connection
    if not isinstance(connection, BoundedConnection):
        message = "only PostgreSQL's connections have patience"
        raise TypeError(message)
    # With the usual patience: whether the server answers at all is soon known.
    session.execute(text(f"SET LOCAL statement_timeout = {round(seconds * 1000)}"))
    before = connection.patience
    connection.patience = seconds + 1
    try:
        yield
    finally:
        connection.patience = before


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn a lost or busy database into our own error, so that edges answer 503 and not 500.

    Raises:
        LedgerUnavailable: the database is away, refuses or is too slow.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        # From the pool's own question whether a connection still lives.
        raise LedgerUnavailable("The database is not available.", retry_after=1) from error
    except DBAPIError as error:
        if error.connection_invalidated or type(error).__name__ in {
            "OperationalError",
            "InterfaceError",
            "InternalError",  # PostgreSQL's for a server that is read-only, among others.
            "DatabaseError",
        }:
            raise LedgerUnavailable("The database is not available.", retry_after=1) from error
        raise
    except SQLAlchemyError as error:
        if type(error).__name__ == "TimeoutError":
            raise LedgerUnavailable("The database is too busy.", retry_after=1) from error
        raise


def parse_url(text: str) -> URL:
    """Read a database URL and choose its driver.

    Raises:
        ConfigurationError: not a URL, or of a database that Torana does not know.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password, so it is not repeated.
        raise ConfigurationError(
            "TORANA_DATABASE_URL is not a database URL.",
            hint="Use postgresql://USER:PASSWORD@HOST/NAME or sqlite:////absolute/path.db.",
        ) from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigurationError("TORANA_DATABASE_URL needs a file for SQLite.")
        return url.set(drivername="sqlite")
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"TORANA_DATABASE_URL names {backend!r}; Torana runs on sqlite and postgresql."
    )


def _create_engine(url: URL, patience: float) -> Engine:
    common: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "pool_timeout": 5,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        engine = create_engine(
            url, creator=lambda: open_sqlite(path, factory=_OffloadedConnection), **common
        )
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return create_engine(
        url,
        pool_pre_ping=True,
        creator=lambda: _open_postgres(conninfo, patience),
        **common,
    )


def _open_postgres(conninfo: str, patience: float) -> BoundedConnection:
    connection = BoundedConnection.connect(
        conninfo,
        connect_timeout=POSTGRES_CONNECT_SECONDS,
        application_name="torana",
        options=f"-c statement_timeout={round(patience * 1000)} -c timezone=UTC",
    )
    # The server ends a slow statement first; only a server that is stopped is given up on.
    connection.patience = patience + 1
    return connection


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("torana_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def open_sqlite(
    path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open an SQLite file the way Torana needs it: WAL, every commit on disk, foreign keys on.

    Transactions are begun by us, never by the driver.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    _use_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; for this SQLite does not wait for others by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


class _OffloadedCursor(sqlite3.Cursor):
    """A cursor whose statements run where they may block: SQLite has no other way to wait."""

    def execute(self, sql: str, parameters: Any = (), /) -> _OffloadedCursor:
        offload(super().execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> _OffloadedCursor:
        offload(super().executemany, sql, parameters)
        return self

    def fetchall(self) -> list[Any]:
        return offload(super().fetchall)


class _OffloadedConnection(sqlite3.Connection):
    """A connection for SQLAlchemy under gevent; see `_OffloadedCursor`."""

    def cursor(self, factory: Any = _OffloadedCursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        offload(super().commit)

    def rollback(self) -> None:
        offload(super().rollback)
