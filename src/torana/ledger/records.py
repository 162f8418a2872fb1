"""What the teller writes, as values: the identity of a call, its settlement, its receipt."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from torana.core.usage import Counted, Usage


class Status(StrEnum):
    """How a call ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls what: the part of a row that is known when the call is admitted."""

    call_id: str
    organisation_id: str
    project_id: str
    user_id: str | None
    key_id: str
    balance_ids: tuple[str, ...]
    route: str
    model: str
    provider: str
    target_model: str
    bound_nano: int
    price_id: str | None


class Receipt(msgspec.Struct, frozen=True):
    """Proof of a durable reservation. Whoever holds one must post it."""

    record: CallRecord
    admitted_at: datetime


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended and what it cost: the other part of its ledger entry.

    Attributes:
        attempts: one mapping per try of a provider, in their order.
        duration_ms, first_byte_ms: milliseconds since the request came in.
    """

    status: Status
    counted: Counted
    usage: Usage
    cost_nano: int
    streamed: bool
    http_status: int
    provider: str
    target_model: str
    price_id: str | None
    error_code: str | None = None
    duration_ms: int = 0
    first_byte_ms: int | None = None
    provider_request_id: str | None = None
    attempts: list[dict[str, Any]] = []
    tags: dict[str, str] = {}
    is_bare: bool = False

    def bare(self) -> Settlement:
        """The same without what others have written into it."""
        return msgspec.structs.replace(
            self,
            error_code="unwritable",
            provider_request_id=None,
            attempts=[],
            tags={},
            duration_ms=0,
            first_byte_ms=None,
            is_bare=True,
        )
