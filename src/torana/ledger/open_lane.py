"""Which lane a database has."""

from __future__ import annotations

from torana.db.session import Database
from torana.ledger.lanes import Lane
from torana.ledger.postgres_lane import PostgresLane
from torana.ledger.sqlite_lane import SqliteLane


def open_lane(database: Database, owner_id: str) -> Lane:
    """The lane for a database."""
    return (SqliteLane if database.is_sqlite else PostgresLane)(database, owner_id)
