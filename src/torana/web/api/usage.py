"""`GET /api/usage`."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from torana.auth.policy import Permission
from torana.core.money import format_usd
from torana.ledger import reports
from torana.web.api.asked import CallsQuery, filter_of, refusal, span_of
from torana.web.api.schemas import REPORT_SECONDS, Instant
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_usage", __name__, abp_tags=[{"name": "Management"}])

Group = Annotated[str, Field(pattern=f"^({'|'.join(reports.GROUPS)}|tag:[^\\x00]{{1,200}})$")]
MOST_GROUPS = 10_000
"""Rows of an answer; who wants more has the command line."""


class UsageQuery(CallsQuery):
    """What to sum, and by what."""

    group_by: list[Group] = Field(
        default=["model"],
        max_length=4,
        description="Repeat it to group by several. `tag:NAME` groups by a tag's value; hours, "
        "days, weeks and months are those of `time_zone`.",
    )
    compare: Literal["previous"] | None = Field(
        default=None, description="Also tell what was used in the period of the kind before."
    )


class Figures(BaseModel):
    """What was used. `cost_usd` is exact; `cost_nano` is the same in nano-dollars.

    `input_tokens` and `output_tokens` are of all classes; `cached_tokens`, `cache_write_tokens`
    and `reasoning_tokens` are parts of them.
    """

    calls: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    images: int
    characters: int
    audio_seconds: int
    searches: int
    cost_usd: str
    cost_nano: int


class ComparedFigures(Figures):
    """The same beside the period before; null unless `compare` was asked for."""

    previous: Figures | None
    change_usd: str | None
    change_nano: int | None
    change_percent: str | None


class UsageRow(ComparedFigures):
    """The sums of one group: `group` has ids, `names` what people call them."""

    group: dict[str, str | None]
    names: dict[str, str | None]


class Stretch(BaseModel):
    """From the one instant until before the other; null where it is open."""

    since: Instant | None
    until: Instant | None


class UsageReport(BaseModel):
    """Sums by group, the dearest first; by time alone in the order of time."""

    data: list[UsageRow]
    total: ComparedFigures
    time_zone: str
    period: Stretch
    previous_period: Stretch | None


@endpoint(
    area,
    "GET",
    "/api/usage",
    permission=Permission.READ_USAGE,
    summary="Sum up what was used.",
    responses={200: UsageReport},
    errors=(401, 403, 422, 503),
)
def read_usage(query: UsageQuery) -> UsageReport:
    """Calls, tokens and cost of the project; of the organisation for an administrator's key."""
    span = span_of(query)
    if query.compare is not None and span.period is None:
        raise refusal("compare", "it needs a period, or since and a later until")
    previous = None if query.compare is None or span.period is None else span.period.previous()
    with services(current_app).database.read(patience=REPORT_SECONDS) as session:
        rows = reports.usage(
            session,
            group_by=tuple(query.group_by),
            where=filter_of(query, principal()),
            since=span.since,
            until=span.until,
            zone=span.zone,
            previous=previous,
            most=MOST_GROUPS,
        )
    return UsageReport(
        data=[
            UsageRow(group=row.group, names=_names(row), **_compared(row).model_dump())
            for row in rows
        ],
        total=_compared(reports.total_of(rows)),
        time_zone=span.zone.key,
        period=Stretch(since=span.since, until=span.until),
        previous_period=previous and Stretch(since=previous.start, until=previous.end),
    )


def _names(row: reports.UsageRow) -> dict[str, str | None]:
    """A program's key learns no person's address."""
    if Permission.READ_ORGANISATION in principal().permissions:
        return row.names
    return {name: value for name, value in row.names.items() if name != "user_email"}


def _compared(row: reports.UsageRow) -> ComparedFigures:
    change = row.change_nano
    return ComparedFigures(
        previous=None if row.previous is None else _figures(row.previous),
        change_usd=None if change is None else format_usd(change),
        change_nano=change,
        change_percent=row.change_percent,
        **_figures(row).model_dump(),
    )


def _figures(sums: reports.Sums) -> Figures:
    return Figures(
        cost_usd=format_usd(sums.cost_nano),
        **{name: getattr(sums, name) for name in reports.FIGURES},
    )
