"""The schema's revision: the one this version needs and the one a database has, without Alembic."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

HEAD = "0005"


def stored_revision(session: Session) -> str | None:
    """The revision that a database is at; it must have one."""
    revision: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
