"""The schema's revision: the one this version needs and the one a database has, without Alembic."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

HEAD = "0005"


def stored_revision(session: Session) -> str | None:
    """The revision that a database is at; it must have one."""
    revision: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def is_read_only(session: Session) -> bool:
    """Whether a PostgreSQL server takes no writes, as a standby or after a failover."""
    if session.get_bind().dialect.name != "postgresql":
        return False
    state: str | None = session.scalar(text("SHOW transaction_read_only"))
    return state == "on"
