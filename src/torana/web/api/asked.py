"""Which calls a report is asked about: what `GET /api/usage` and `GET /api/ledger` share.

Every answer stays within the credential's project, or for an administrator's key within its
organisation.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from torana.auth.policy import Permission
from torana.auth.principal import Principal
from torana.core.clock import utc_now
from torana.errors import PermissionDenied, ValidationFailed
from torana.ledger import reports

_Text = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=300)]
"""PostgreSQL's texts hold no NUL."""
_Texts = Annotated[list[_Text], Field(max_length=100)]
_INSTANT = "ISO 8601; a date is its midnight, and what names no offset is read in `time_zone`."


class CallsQuery(BaseModel):
    """Which calls. Each parameter that may be repeated wants one of its values."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(
        default=None,
        description="A period instead of `since` and `until`: an ISO 8601 interval such as "
        "`2026-11-01/P1M` or `2026-11-01/2026-11-15`, a month `2026-11`, a day `2026-11-05`, or "
        f"one of {', '.join(f'`{word}`' for word in reports.WORDS)}.",
    )
    since: str | None = Field(
        default=None, description=f"Only calls admitted at or after this instant. {_INSTANT}"
    )
    until: str | None = Field(
        default=None, description=f"Only calls admitted before this instant. {_INSTANT}"
    )
    time_zone: str = Field(default="UTC", description="An IANA name, such as `Europe/Berlin`.")
    project: _Texts = Field(
        default=[],
        description="Ids of projects; other than its own only for an administrator's key.",
    )
    key: _Texts = Field(default=[], description="Ids of keys.")
    user: _Texts = Field(default=[], description="Ids of users.")
    end_user: _Texts = Field(default=[], description="The callers' own names of their users.")
    model: _Texts = Field(default=[], description="Names of models as they were asked for.")
    provider: _Texts = Field(default=[], description="Names of providers.")
    status: _Texts = Field(default=[], description="`ok`, `error`, `cancelled`, `abandoned` ...")
    tag: list[Annotated[str, Field(pattern=r"^[^=\x00]+=[^\x00]*$", max_length=500)]] = Field(
        default=[],
        max_length=20,
        description="`NAME=VALUE`; of several, a call must have all.",
    )


def span_of(query: CallsQuery) -> reports.Span:
    """The time that is asked about.

    Raises:
        ValidationFailed: an instant, a period or the time zone can't be read.
    """
    zone = reports.time_zone(query.time_zone)
    if query.period is not None and (query.since is not None or query.until is not None):
        raise refusal("period", "it can't be joined with since or until; send one or the other")
    return reports.parse_span(
        period=query.period,
        since=query.since,
        until=query.until,
        zone=zone,
        now=utc_now(),
    )


def filter_of(query: CallsQuery, caller: Principal) -> reports.Filter:
    """The calls that are asked about, as far as the caller may see them.

    Raises:
        PermissionDenied: a project that is not the caller's.
    """
    everywhere = Permission.READ_ORGANISATION in caller.permissions
    if not everywhere and any(project != caller.project_id for project in query.project):
        raise PermissionDenied("This API key can read its own project only.", param="project")
    return reports.Filter(
        organisation_id=(caller.organisation_id,),
        project_id=tuple(query.project) if everywhere else (caller.project_id,),
        key_id=tuple(query.key),
        user_id=tuple(query.user),
        end_user=tuple(query.end_user),
        model=tuple(query.model),
        provider=tuple(query.provider),
        status=tuple(query.status),
        tags=tuple((name, value) for name, _, value in (tag.partition("=") for tag in query.tag)),
    )


def visible_to(caller: Principal) -> reports.Filter:
    """All calls that the caller may see."""
    return filter_of(CallsQuery(), caller)


def refusal(field: str, problem: str) -> ValidationFailed:
    """A parameter does not fit the others."""
    return ValidationFailed(
        f"The request is not valid: {field}: {problem}.",
        problems=({"field": field, "message": problem},),
    )
