"""Another try of an open call, as tests ask the ledger for it."""

from __future__ import annotations

from torana.core.money import UNITS
from torana.ledger.bounds import Bound
from torana.ledger.records import Ask, Further, Receipt


def further(receipt: Receipt, bound_nano: int) -> Further:
    """One at the same target, with which the call may cost so much in all."""
    record = receipt.record
    return Further(
        bound_nano=bound_nano,
        ask=Ask(bound=Bound(fixed=bound_nano * UNITS)),
        provider=record.provider,
        target_model=record.target_model,
        price_id=record.price_id,
    )
