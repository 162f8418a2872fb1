"""`/api/budgets`: what keys, users, projects and others may spend."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from torana.admin import budgets as admin
from torana.admin.budget_views import BudgetView, EventView
from torana.admin.scopes import ScopeRef
from torana.auth.policy import Permission
from torana.core.clock import microseconds
from torana.core.money import parse_usd
from torana.ledger.terms import BudgetTerms
from torana.web.api.schemas import Instant
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_budgets", __name__, abp_tags=[{"name": "Management"}])

ScopeKind = Literal["key", "user", "project", "organisation", "end_user", "tag"]
Period = Literal["day", "week", "month", "total", "interval"]
Mode = Literal["refuse", "clamp"]


def _checked_usd(text: str) -> str:
    parse_usd(text)
    return text


Usd = Annotated[
    str,
    AfterValidator(_checked_usd),
    Field(max_length=40, description="Dollars as an exact decimal, such as `12.5`."),
]
Text = Annotated[str, Field(max_length=320)]
Models = Annotated[
    list[Annotated[str, Field(max_length=200)]] | None,
    Field(max_length=1000, description="The only models; null for all. `gpt-4o*` is a beginning."),
]
Thresholds = Annotated[
    list[int], Field(max_length=10, description="Rising percents at which events are written.")
]


class Window(BaseModel):
    """The present window. `remaining_usd` is of the limit, after what is spent and reserved."""

    start: Instant
    end: Instant | None
    limit_usd: str
    spent_usd: str
    reserved_usd: str
    remaining_usd: str
    open_calls: int
    percent: int


class Budget(BaseModel):
    """A budget. A template stands for one of each end user or tag, and has no window itself."""

    id: str
    name: str
    scope: ScopeKind
    scope_id: str
    scope_name: str
    is_template: bool
    amount_usd: str
    period: Period
    interval_seconds: int | None
    starts_at: Instant | None
    time_zone: str
    mode: Mode
    thresholds: list[int]
    models: list[str] | None
    raise_usd: str | None
    raise_until: Instant | None
    created_at: Instant
    updated_at: Instant
    window: Window | None


class Budgets(BaseModel):
    """Budgets, oldest first."""

    data: list[Budget]


class BudgetEvent(BaseModel):
    """A budget had spent a share of its limit."""

    id: str
    budget_id: str
    scope: ScopeKind
    scope_id: str
    scope_name: str
    window_start: Instant
    percent: int
    spent_usd: str
    limit_usd: str
    happened_at: Instant


class BudgetEvents(BaseModel):
    """Events, newest first; at most 200."""

    data: list[BudgetEvent]


class NewBudget(BaseModel):
    """A budget to make."""

    model_config = ConfigDict(extra="forbid")

    scope: ScopeKind
    id: Annotated[
        Text,
        Field(description="Id or name; a user's e-mail; a tag as `team=red`; `*` for each."),
    ]
    project: Annotated[
        Text | None,
        Field(description="Of an end user or a tag: where it is counted; null: everywhere."),
    ] = None
    name: Annotated[str, Field(max_length=200)] = ""
    amount_usd: Usd
    period: Period = "month"
    interval_seconds: int = 0
    starts_at: AwareDatetime | None = None
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    mode: Mode = "refuse"
    thresholds: Thresholds = [50, 80, 100]
    models: Models = None


class BudgetPatch(BaseModel):
    """What shall be different of a budget; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=200)] = ""
    amount_usd: Usd = "0"
    period: Period = "month"
    interval_seconds: int = 0
    starts_at: AwareDatetime | None = None
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    mode: Mode = "refuse"
    thresholds: Thresholds = []
    models: Models = None


class Raise(BaseModel):
    """What is added to a budget's amount until an instant; an amount of zero ends it now."""

    model_config = ConfigDict(extra="forbid")

    amount_usd: Usd
    until: AwareDatetime | None = None


class BudgetPath(BaseModel):
    """A budget by its id."""

    budget_id: str


@endpoint(
    area,
    "GET",
    "/api/budgets",
    permission=Permission.READ_SELF,
    summary="List budgets with what is left of them.",
    responses={200: Budgets},
    errors=(401, 503),
)
def list_budgets() -> Budgets:
    """An administrator sees the organisation's budgets; any other key those that judge it."""
    caller = principal()
    is_admin = Permission.MANAGE_BUDGETS in caller.permissions
    rows = admin.list_budgets(
        services(current_app).database,
        organisation_id=caller.organisation_id,
        account_ids=None if is_admin else caller.account_ids,
    )
    return Budgets(data=[_budget(row) for row in rows])


@endpoint(
    area,
    "POST",
    "/api/budgets",
    permission=Permission.MANAGE_BUDGETS,
    summary="Make a budget.",
    responses={200: Budget},
    errors=(400, 401, 403, 404, 409, 422, 503),
)
def create_budget(body: NewBudget) -> Budget:
    """What is spent and open in the present window already counts."""
    caller = principal()
    terms = BudgetTerms(
        amount_nano=parse_usd(body.amount_usd),
        period=body.period,
        interval_seconds=body.interval_seconds,
        starts_at=microseconds(body.starts_at) if body.starts_at is not None else 0,
        zone=body.time_zone,
        mode=body.mode,
        thresholds=tuple(body.thresholds),
        models=tuple(body.models) if body.models is not None else None,
    )
    view = admin.create_budget(
        services(current_app).database,
        ScopeRef(kind=body.scope, id=body.id, project=body.project),
        terms,
        name=body.name,
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _budget(view)


@endpoint(
    area,
    "GET",
    "/api/budgets/<budget_id>",
    permission=Permission.MANAGE_BUDGETS,
    summary="Read a budget.",
    responses={200: Budget},
    errors=(401, 403, 404, 503),
)
def read_budget(path: BudgetPath) -> Budget:
    """A budget of the organisation, with its present window."""
    return _budget(
        admin.read_budget(
            services(current_app).database,
            path.budget_id,
            organisation_id=principal().organisation_id,
        )
    )


@endpoint(
    area,
    "PATCH",
    "/api/budgets/<budget_id>",
    permission=Permission.MANAGE_BUDGETS,
    summary="Change a budget.",
    responses={200: Budget},
    errors=(400, 401, 403, 404, 422, 503),
)
def update_budget(path: BudgetPath, body: BudgetPatch) -> Budget:
    """Another period or time zone opens another window, which counts anew from the ledger."""
    caller = principal()
    view = admin.update_budget(
        services(current_app).database,
        path.budget_id,
        _change(body),
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _budget(view)


@endpoint(
    area,
    "DELETE",
    "/api/budgets/<budget_id>",
    permission=Permission.MANAGE_BUDGETS,
    summary="Delete a budget.",
    responses={200: Budget},
    errors=(401, 403, 404, 503),
)
def delete_budget(path: BudgetPath) -> Budget:
    """The budget as it was; the ledger keeps what was spent."""
    caller = principal()
    view = admin.delete_budget(
        services(current_app).database,
        path.budget_id,
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _budget(view)


@endpoint(
    area,
    "POST",
    "/api/budgets/<budget_id>/raise",
    permission=Permission.MANAGE_BUDGETS,
    summary="Raise a budget for a while.",
    responses={200: Budget},
    errors=(400, 401, 403, 404, 422, 503),
)
def raise_budget(path: BudgetPath, body: Raise) -> Budget:
    """It ends by itself, and replaces an earlier raise."""
    caller = principal()
    view = admin.raise_budget(
        services(current_app).database,
        path.budget_id,
        amount_nano=parse_usd(body.amount_usd),
        until=body.until,
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _budget(view)


@endpoint(
    area,
    "GET",
    "/api/budgets/<budget_id>/events",
    permission=Permission.MANAGE_BUDGETS,
    summary="List the thresholds that a budget has reached.",
    responses={200: BudgetEvents},
    errors=(401, 403, 404, 503),
)
def list_events(path: BudgetPath) -> BudgetEvents:
    """Each threshold once a window, newest first."""
    rows = admin.budget_events(
        services(current_app).database,
        path.budget_id,
        organisation_id=principal().organisation_id,
    )
    return BudgetEvents(data=[_event(row) for row in rows])


def _change(body: BudgetPatch) -> admin.BudgetChange:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if "amount_usd" in given:
        given["amount_nano"] = parse_usd(given.pop("amount_usd"))
    if "time_zone" in given:
        given["zone"] = given.pop("time_zone")
    for name in ("thresholds", "models"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])
    return msgspec.structs.replace(admin.BudgetChange(), **given)


def _budget(view: BudgetView) -> Budget:
    return Budget.model_validate(msgspec.structs.asdict(view) | {"window": _window(view)})


def _window(view: BudgetView) -> Window | None:
    if view.window is None:
        return None
    return Window.model_validate(msgspec.structs.asdict(view.window))


def _event(view: EventView) -> BudgetEvent:
    return BudgetEvent.model_validate(msgspec.structs.asdict(view))
