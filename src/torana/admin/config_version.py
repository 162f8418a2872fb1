"""The version of the configuration: how a change reaches every process."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from torana.db.models import ConfigVersion


def raise_version(session: Session) -> None:
    """Tell every process, by this transaction, that the configuration has changed."""
    session.execute(update(ConfigVersion).values(version=ConfigVersion.version + 1))
