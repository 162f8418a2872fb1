"""`GET /api/ledger` and `GET /api/ledger/{request_id}`."""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from torana.auth.policy import Permission
from torana.core.money import format_usd, parse_usd
from torana.ledger import reports
from torana.web.api.asked import CallsQuery, filter_of, refusal, span_of, visible_to
from torana.web.api.schemas import REPORT_SECONDS, Cursor, Instant, Limit
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_ledger", __name__, abp_tags=[{"name": "Management"}])


class Entry(BaseModel):
    """One posting of a call; the postings of a call sum to its cost."""

    request_id: str
    seq: int
    admitted_at: Instant
    posted_at: Instant
    project_id: str
    key_id: str
    user_id: str | None
    end_user: str | None
    route: str
    model: str
    provider: str
    target_model: str
    status: str
    counted: str
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    input_audio_tokens: int
    input_image_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    output_image_tokens: int
    images: int
    characters: int
    audio_seconds: int
    searches: int
    cost_usd: str
    cost_nano: int
    bound_nano: int
    price_id: str | None
    streamed: bool
    http_status: int
    error_code: str | None
    duration_ms: int
    first_byte_ms: int | None
    provider_request_id: str | None
    attempts: list[dict[str, Any]]
    tags: dict[str, str]


class EntryPage(BaseModel):
    """Entries, newest first; `next_cursor` is null on the last page."""

    data: list[Entry]
    next_cursor: str | None


class Call(BaseModel):
    """A call and all its postings."""

    request_id: str
    cost_usd: str
    cost_nano: int
    entries: list[Entry]


class LedgerQuery(CallsQuery):
    """Which entries."""

    limit: Limit = 50
    cursor: Cursor = None
    min_cost_usd: str | None = Field(
        default=None, description="Only entries that cost at least so much, such as `0.05`."
    )


class CallPath(BaseModel):
    """A call by the `x-request-id` of its answer."""

    request_id: str


@endpoint(
    area,
    "GET",
    "/api/ledger",
    permission=Permission.READ_LEDGER,
    summary="List the ledger.",
    responses={200: EntryPage},
    errors=(400, 401, 403, 422, 503),
)
def list_entries(query: LedgerQuery) -> EntryPage:
    """Postings of the project, newest first; of the organisation for an administrator's key."""
    span = span_of(query)
    with services(current_app).database.read(patience=REPORT_SECONDS) as session:
        page = reports.entry_page(
            session,
            where=filter_of(query, principal()),
            limit=query.limit,
            cursor=query.cursor,
            since=span.since,
            until=span.until,
            min_cost_nano=_nano(query.min_cost_usd),
        )
        return EntryPage(data=[_entry(row) for row in page.entries], next_cursor=page.next_cursor)


@endpoint(
    area,
    "GET",
    "/api/ledger/<request_id>",
    permission=Permission.READ_LEDGER,
    summary="Read one call.",
    responses={200: Call},
    errors=(401, 404, 503),
)
def read_call(path: CallPath) -> Call:
    """What a call cost, by the `x-request-id` of its answer; also the place for a stream's cost."""
    with services(current_app).database.read() as session:
        rows = reports.entries_of_call(
            session, call_id=path.request_id, where=visible_to(principal())
        )
        cost_nano = sum(row.cost_nano for row in rows)
        return Call(
            request_id=path.request_id,
            cost_usd=format_usd(cost_nano),
            cost_nano=cost_nano,
            entries=[_entry(row) for row in rows],
        )


def _nano(usd: str | None) -> int | None:
    try:
        return None if usd is None else parse_usd(usd)
    except ValueError as error:
        raise refusal("min_cost_usd", str(error)) from None


def _entry(row: reports.Entry) -> Entry:
    return Entry(
        request_id=row.call_id,
        cost_usd=format_usd(row.cost_nano),
        **{
            name: getattr(row, name)
            for name in Entry.model_fields
            if name not in {"request_id", "cost_usd"}
        },
    )
