"""`/api/guardrails`: what judges and changes prompts and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from torana.admin import guardrails as admin
from torana.auth.policy import Permission
from torana.web.api.schemas import Instant
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_guardrails", __name__, abp_tags=[{"name": "Management"}])

Where = Literal["prompt", "answer", "both"]
Names = list[Annotated[str, Field(max_length=200)]]
Models = Annotated[
    Names | None,
    Field(max_length=1000, description="The only models; null for all. `gpt-4o*` is a beginning."),
]
Projects = Annotated[
    Names | None,
    Field(max_length=1000, description="The only projects, by name or id; null for all."),
]
Order = Annotated[
    int,
    Field(
        ge=-1000,
        le=1000,
        description="Smaller numbers see a prompt first, and its answer last.",
    ),
]
Options = Annotated[
    dict[str, Any], Field(description="Of its kind; the documentation lists them.", max_length=100)
]


class Guardrail(BaseModel):
    """A guardrail."""

    id: str
    name: str
    kind: str
    enabled: bool
    models: list[str] | None
    projects: list[str] | None
    where: Where
    order: int
    options: dict[str, Any]
    created_at: Instant
    updated_at: Instant


class Guardrails(BaseModel):
    """Guardrails, in the order in which they see a prompt."""

    data: list[Guardrail]


class NewGuardrail(BaseModel):
    """A guardrail to add."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=63)]
    kind: Annotated[
        str, Field(max_length=64, description="`blocked_patterns`, `mask` or that of a plugin.")
    ]
    models: Models = None
    projects: Projects = None
    where: Where = "prompt"
    order: Order = 0
    options: Options = {}
    enabled: bool = True


class GuardrailPatch(BaseModel):
    """What shall be different; what is left out stays. `options` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    models: Models = None
    projects: Projects = None
    where: Where = "prompt"
    order: Order = 0
    options: Options = {}
    enabled: bool = True


class GuardrailPath(BaseModel):
    """A guardrail by its name."""

    name: str


@endpoint(
    area,
    "GET",
    "/api/guardrails",
    permission=Permission.MANAGE_GUARDRAILS,
    summary="List guardrails.",
    responses={200: Guardrails},
    errors=(401, 403, 503),
)
def list_guardrails() -> Guardrails:
    """All of them, in the order in which they see a prompt."""
    rows = admin.list_guardrails(services(current_app).database)
    return Guardrails(data=[_guardrail(row) for row in rows])


@endpoint(
    area,
    "POST",
    "/api/guardrails",
    permission=Permission.MANAGE_GUARDRAILS,
    summary="Add a guardrail.",
    responses={200: Guardrail},
    errors=(400, 401, 403, 404, 409, 422, 503),
)
def add_guardrail(body: NewGuardrail) -> Guardrail:
    """Every process works by it within a second."""
    caller = principal()
    view = admin.add_guardrail(
        services(current_app).database,
        admin.NewGuardrail(**_given(body)),
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _guardrail(view)


@endpoint(
    area,
    "GET",
    "/api/guardrails/<name>",
    permission=Permission.MANAGE_GUARDRAILS,
    summary="Read a guardrail.",
    responses={200: Guardrail},
    errors=(401, 403, 404, 503),
)
def read_guardrail(path: GuardrailPath) -> Guardrail:
    """A guardrail with its options."""
    return _guardrail(admin.read_guardrail(services(current_app).database, path.name))


@endpoint(
    area,
    "PATCH",
    "/api/guardrails/<name>",
    permission=Permission.MANAGE_GUARDRAILS,
    summary="Change a guardrail.",
    responses={200: Guardrail},
    errors=(400, 401, 403, 404, 422, 503),
)
def update_guardrail(path: GuardrailPath, body: GuardrailPatch) -> Guardrail:
    """Every process works by it within a second."""
    caller = principal()
    view = admin.update_guardrail(
        services(current_app).database,
        path.name,
        admin.GuardrailChange(**_given(body)),
        organisation_id=caller.organisation_id,
        actor=caller.key_id,
    )
    return _guardrail(view)


@endpoint(
    area,
    "DELETE",
    "/api/guardrails/<name>",
    permission=Permission.MANAGE_GUARDRAILS,
    summary="Remove a guardrail.",
    responses={200: Guardrail},
    errors=(401, 403, 404, 503),
)
def remove_guardrail(path: GuardrailPath) -> Guardrail:
    """The guardrail as it was."""
    caller = principal()
    return _guardrail(
        admin.remove_guardrail(services(current_app).database, path.name, actor=caller.key_id)
    )


def _given(body: NewGuardrail | GuardrailPatch) -> dict[str, Any]:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    for name in ("models", "projects"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])
    return given


def _guardrail(view: admin.GuardrailView) -> Guardrail:
    return Guardrail.model_validate(msgspec.structs.asdict(view))
