"""`GET /api/usage`."""

from __future__ import annotations

from typing import Literal

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from torana.auth.policy import Permission
from torana.core.money import format_usd
from torana.ledger import reports
from torana.web.api.schemas import Since, Until
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_usage", __name__, abp_tags=[{"name": "Management"}])

Group = Literal["model", "provider", "key", "user", "status", "day"]


class UsageQuery(BaseModel):
    """What to sum, and by what."""

    model_config = ConfigDict(extra="forbid")

    group_by: list[Group] = Field(
        default=["model"], max_length=4, description="Repeat it to group by several; days are UTC."
    )
    since: Since = None
    until: Until = None


class UsageRow(BaseModel):
    """The sum of one group. `cost_usd` is exact; `cost_nano` is the same in nano-dollars."""

    group: dict[str, str | None]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    cost_nano: int


class UsageReport(BaseModel):
    """Sums by group, the dearest first."""

    data: list[UsageRow]


@endpoint(
    area,
    "GET",
    "/api/usage",
    permission=Permission.READ_USAGE,
    summary="Sum up what the project has used.",
    responses={200: UsageReport},
    errors=(401, 422, 503),
)
def read_usage(query: UsageQuery) -> UsageReport:
    """Calls, tokens and cost of the credential's project."""
    with services(current_app).database.read() as session:
        rows = reports.usage(
            session,
            group_by=tuple(dict.fromkeys(query.group_by)),
            project_id=principal().project_id,
            since=query.since,
            until=query.until,
        )
    return UsageReport(
        data=[
            UsageRow(
                group=row.group,
                calls=row.calls,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                cost_usd=format_usd(row.cost_nano),
                cost_nano=row.cost_nano,
            )
            for row in rows
        ]
    )
