"""Prices: the version in force of each model, and how a new one comes to be."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.core.ids import new_id
from torana.core.money import Price
from torana.db.models import PriceVersion


def current_prices(session: Session, now: datetime) -> dict[tuple[str, str], Price]:
    """The price in force at `now` by (provider, model)."""
    rows = session.scalars(
        select(PriceVersion)
        .where(PriceVersion.valid_from <= now)
        .order_by(PriceVersion.valid_from, PriceVersion.id)
    )
    return {(row.provider, row.model): _price(row) for row in rows}


def set_price(
    session: Session,
    *,
    provider: str,
    model: str,
    input_rate: int,
    output_rate: int,
    now: datetime,
) -> None:
    """Add a price version from `now` on, unless the one in force says the same.

    Args:
        session: of the surrounding transaction.
        provider: the provider's name.
        model: the model's name as the provider knows it.
        input_rate: nano-dollars per million tokens of input, cached or not.
        output_rate: nano-dollars per million tokens of output, reasoning or not.
        now: the database's present.
    """
    row = PriceVersion(
        id=new_id("price"),
        provider=provider,
        model=model,
        valid_from=now,
        input_rate=input_rate,
        cached_rate=input_rate,
        cache_write_rate=input_rate,
        output_rate=output_rate,
        reasoning_rate=output_rate,
    )
    present = current_prices(session, now).get((provider, model))
    if present is None or msgspec.structs.replace(_price(row), id=present.id) != present:
        session.add(row)


def _price(row: PriceVersion) -> Price:
    return Price(
        id=row.id,
        input=row.input_rate,
        cached=row.cached_rate,
        cache_write=row.cache_write_rate,
        output=row.output_rate,
        reasoning=row.reasoning_rate,
    )
