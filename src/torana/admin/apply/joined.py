"""One transaction for what administrators do in several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from torana.db.session import Database


class JoinedDatabase(Database):
    """A database as others see it from inside a transaction: theirs become savepoints of it.

    Args:
        database: the real one.
        session: of the transaction.
    """

    def __init__(self, database: Database, session: Session) -> None:
        self.url = database.url
        self.engine = database.engine
        self.writing_engine = database.writing_engine
        self._session = session

    @contextmanager
    def read(self, *, patience: float | None = None) -> Iterator[Session]:
        """The session of the transaction."""
        del patience  # That of the transaction.
        yield self._session

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Session]:
        """The session of the transaction, in a savepoint that is given up when the block raises."""
        del alone  # The transaction is.
        with self._session.begin_nested():
            yield self._session
