"""`GET /api/me`."""

from __future__ import annotations

from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.web.api.schemas import Instant, Scope
from torana.web.endpoint import endpoint, principal

area = APIBlueprint("api_me", __name__, abp_tags=[{"name": "Management"}])


class Me(BaseModel):
    """The caller, as Torana knows it."""

    key: Scope
    project: Scope
    organisation: Scope
    user_id: str | None
    role: str
    permissions: list[str]
    models: list[str] | None
    expires_at: Instant | None


@endpoint(
    area,
    "GET",
    "/api/me",
    permission=Permission.READ_SELF,
    summary="Who am I?",
    responses={200: Me},
    errors=(401, 503),
)
def read_me() -> Me:
    """The credential of this request and where its calls are counted."""
    caller = principal()
    return Me(
        key=Scope(id=caller.key_id, name=caller.key_name),
        project=Scope(id=caller.project_id, name=caller.project_name),
        organisation=Scope(id=caller.organisation_id, name=caller.organisation_name),
        user_id=caller.user_id,
        role=caller.role,
        permissions=sorted(permission.value for permission in caller.permissions),
        models=list(caller.models) if caller.models is not None else None,
        expires_at=caller.expires_at,
    )
