"""Prices: the version in force of each model, and how a new one comes to be.

Rows are only added. Of several that begin at the same instant the one made last counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from torana.core.ids import new_id
from torana.core.money import Price, PriceTerms
from torana.db.models import PriceVersion

NO_PRICE = "none"
"""The source of a version that says: from here on the model has no price."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the price table.

    Attributes:
        terms: None when the model has no price from here on.
        source: `builtin`, `list`, `file` (a list that somebody brought), `operator` or `none`.
    """

    id: str
    provider: str
    model: str
    valid_from: datetime
    terms: PriceTerms | None
    source: str


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A row to be."""

    provider: str
    model: str
    valid_from: datetime
    terms: PriceTerms | None
    source: str


_COLUMNS = (
    PriceVersion.id,
    PriceVersion.provider,
    PriceVersion.model,
    PriceVersion.valid_from,
    PriceVersion.rates,
    PriceVersion.source,
)


def current_prices(session: Session, now: datetime) -> dict[tuple[str, str], Price]:
    """The price in force at `now` by (provider, model)."""
    rows = session.execute(
        select(PriceVersion.provider, PriceVersion.model, PriceVersion.id, PriceVersion.rates)
        .where(PriceVersion.valid_from <= now)
        .order_by(PriceVersion.valid_from, PriceVersion.id)
    )
    newest = {(provider, model): (id_, rates) for provider, model, id_, rates in rows}
    return {
        key: Price(id=id_, terms=msgspec.convert(rates, PriceTerms))
        for key, (id_, rates) in newest.items()
        if rates
    }


def next_change(session: Session, now: datetime) -> datetime | None:
    """The next instant at which a price begins that is stored already."""
    return session.scalar(
        select(func.min(PriceVersion.valid_from)).where(PriceVersion.valid_from > now)
    )


def versions(
    session: Session, *, providers: Collection[str] | None = None, model: str | None = None
) -> list[Version]:
    """Rows as they take effect, the oldest first.

    Args:
        session: of the surrounding transaction.
        providers: only theirs.
        model: only those of this name.
    """
    query = select(*_COLUMNS).order_by(PriceVersion.valid_from, PriceVersion.id)
    if providers is not None:
        query = query.where(PriceVersion.provider.in_(providers))
    if model is not None:
        query = query.where(PriceVersion.model == model)
    return [
        Version(
            id=row[0],
            provider=row[1],
            model=row[2],
            valid_from=row[3],
            terms=msgspec.convert(row[4], PriceTerms) if row[4] else None,
            source=row[5],
        )
        for row in session.execute(query)
    ]


def add_versions(session: Session, added: Iterable[NewVersion]) -> int:
    """Add rows; how many there were."""
    rows = [
        {
            "id": new_id("price"),
            "provider": version.provider,
            "model": version.model,
            "valid_from": version.valid_from,
            "rates": {} if version.terms is None else msgspec.to_builtins(version.terms),
            "source": version.source,
        }
        for version in added
    ]
    if rows:
        session.execute(insert(PriceVersion), rows)
    return len(rows)


def set_price(
    session: Session, *, provider: str, model: str, terms: PriceTerms, source: str, now: datetime
) -> bool:
    """Add a price version from `now` on, unless the one in force says the same.

    Args:
        session: of the surrounding transaction.
        provider: the provider's name.
        model: the model's name as the provider knows it; `*` stands for all others.
        terms: what it costs.
        source: who says so: `builtin`, `list`, `file` or `operator`.
        now: the database's present.

    Returns:
        Whether there is a new version.
    """
    begun = [
        version
        for version in versions(session, providers=(provider,), model=model)
        if version.valid_from <= now
    ]
    if begun and (begun[-1].terms, begun[-1].source) == (terms, source):
        return False
    new = NewVersion(provider=provider, model=model, valid_from=now, terms=terms, source=source)
    return bool(add_versions(session, [new]))
