"""`GET /v1/models`, in the dialect of whoever asks: both APIs have this path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.errors import ModelNotFound
from torana.routing.routes import Route
from torana.web.dialects import caller_family
from torana.web.endpoint import endpoint, principal
from torana.web.openai.schemas import error_responses
from torana.web.services import services

area = APIBlueprint(
    "models", __name__, abp_tags=[{"name": "OpenAI API"}, {"name": "Anthropic API"}]
)
_CREATED = 1_735_689_600
"""Both dialects' objects carry a time of creation; a route's name has none that means anything."""


class Model(BaseModel):
    """A model that may be asked for, as OpenAI describes it."""

    id: str
    object: Literal["model"] = "model"
    created: int = _CREATED
    owned_by: str


class ModelList(BaseModel):
    """All models that the caller may ask for by name, as OpenAI lists them."""

    object: Literal["list"] = "list"
    data: list[Model]


class ModelInfo(BaseModel):
    """A model that may be asked for, as Anthropic describes it."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    lifecycle: Literal["active"] = "active"
    created_at: str = datetime.fromtimestamp(_CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ModelPage(BaseModel):
    """All models that the caller may ask for by name, as Anthropic lists them: on one page."""

    data: list[ModelInfo]
    has_more: bool = False
    first_id: str | None
    last_id: str | None


class ModelPath(BaseModel):
    """A model's name in a path."""

    model: str


@endpoint(
    area,
    "GET",
    "/v1/models",
    permission=Permission.READ_MODELS,
    summary="List the models.",
    responses={200: ModelList, **error_responses(401)},
)
def list_models() -> ModelList | ModelPage:
    """Anthropic's form for callers that send `anthropic-version`.

    Models that a provider serves without being listed work as `provider/model`.
    """
    routes = _routes()
    if caller_family() == "anthropic":
        infos = [_info(route) for route in routes]
        return ModelPage(
            data=infos,
            first_id=infos[0].id if infos else None,
            last_id=infos[-1].id if infos else None,
        )
    return ModelList(data=[_model(route) for route in routes])


@endpoint(
    area,
    "GET",
    "/v1/models/<path:model>",
    permission=Permission.READ_MODELS,
    summary="Retrieve a model.",
    responses={200: Model, **error_responses(401, 404)},
)
def retrieve_model(path: ModelPath) -> Model | ModelInfo:
    """The model of a name that `GET /v1/models` lists, in the same form."""
    for route in _routes():
        if route.name == path.model:
            return _info(route) if caller_family() == "anthropic" else _model(route)
    raise ModelNotFound(f"The model {path.model[:100]!r} does not exist here.", param="model")


def _model(route: Route) -> Model:
    return Model(id=route.name, owned_by=route.targets[0].provider)


def _info(route: Route) -> ModelInfo:
    return ModelInfo(id=route.name, display_name=route.name)


def _routes() -> list[Route]:
    caller = principal()
    routes = services(current_app).catalog().routes.values()
    return [route for route in routes if caller.may_use(route.name)]
