"""`/api/limits`: requests and tokens a minute, open calls, models; and suspension."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from torana.admin import limits as admin
from torana.admin.scopes import ScopeRef
from torana.auth.policy import Permission
from torana.web.api.budgets import Models, ScopeKind, Text
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_limits", __name__, abp_tags=[{"name": "Management"}])

MaybeLimit = Annotated[int | None, Field(ge=1, le=10**12, description="Null for no limit.")]


class Limits(BaseModel):
    """The limits of a scope; null where there is none. `blocked` is `suspended` or `revoked`."""

    scope: ScopeKind
    scope_id: str
    scope_name: str
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    models: list[str] | None
    blocked: str | None


class LimitsList(BaseModel):
    """The scopes that are limited or blocked."""

    data: list[Limits]


class LimitsChange(BaseModel):
    """What shall be different of a scope's limits; null takes one away, what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    scope: ScopeKind
    id: Text
    project: Text | None = None
    rpm: MaybeLimit = None
    tpm: MaybeLimit = None
    concurrency: MaybeLimit = None
    models: Models = None
    suspended: bool = False


@endpoint(
    area,
    "GET",
    "/api/limits",
    permission=Permission.READ_SELF,
    summary="List limits.",
    responses={200: LimitsList},
    errors=(401, 503),
)
def list_limits() -> LimitsList:
    """An administrator sees the organisation's limits; any other key those that judge it."""
    caller = principal()
    is_admin = Permission.MANAGE_BUDGETS in caller.permissions
    rows = admin.list_limits(
        services(current_app).database,
        organisation_id=caller.organisation_id,
        account_ids=None if is_admin else caller.account_ids,
    )
    return LimitsList(data=[_limits(row) for row in rows])


@endpoint(
    area,
    "PUT",
    "/api/limits",
    permission=Permission.MANAGE_BUDGETS,
    summary="Limit, suspend or resume a scope.",
    responses={200: Limits},
    errors=(400, 401, 403, 404, 409, 422, 503),
)
def set_limits(body: LimitsChange) -> Limits:
    """In force with the next transaction of every process."""
    caller = principal()
    given = {
        name: getattr(body, name) for name in body.model_fields_set - {"scope", "id", "project"}
    }
    if given.get("models") is not None:
        given["models"] = tuple(given["models"])
    view = admin.set_limits(
        services(current_app).database,
        ScopeRef(kind=body.scope, id=body.id, project=body.project),
        msgspec.structs.replace(admin.LimitsChange(), **given),
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _limits(view)


def _limits(view: admin.LimitsView) -> Limits:
    return Limits.model_validate(msgspec.structs.asdict(view))
