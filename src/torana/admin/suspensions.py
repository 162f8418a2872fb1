"""Targets that reported more than their bound: listed, and opened again by an operator."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import select

from torana.admin.config_version import raise_version
from torana.db.models import SuspendedTarget
from torana.db.session import Database
from torana.errors import NotFound


class Suspension(msgspec.Struct, frozen=True, kw_only=True):
    """A suspended target and the call that suspended it."""

    provider: str
    model: str
    call_id: str
    bound_nano: int
    cost_nano: int
    suspended_at: datetime


def list_suspensions(database: Database) -> list[Suspension]:
    """All suspended targets, by name."""
    with database.read() as session:
        rows = session.scalars(
            select(SuspendedTarget).order_by(SuspendedTarget.provider, SuspendedTarget.model)
        ).all()
        return [_view(row) for row in rows]


def resume(database: Database, *, provider: str, model: str) -> Suspension:
    """Open a target to hard budgets again; what it was suspended for.

    Raises:
        NotFound: it is not suspended.
    """
    with database.write() as session:
        # PostgreSQL refuses to look for a name that no row can have.
        usable = provider.isprintable() and model.isprintable()
        row = session.get(SuspendedTarget, (provider, model)) if usable else None
        if row is None:
            raise NotFound(f"{provider[:64]}/{model[:200]} is not suspended.", param="model")
        view = _view(row)
        session.delete(row)
        raise_version(session)
        return view


def _view(row: SuspendedTarget) -> Suspension:
    return Suspension(
        provider=row.provider,
        model=row.model,
        call_id=row.call_id,
        bound_nano=row.bound_nano,
        cost_nano=row.cost_nano,
        suspended_at=row.suspended_at,
    )
