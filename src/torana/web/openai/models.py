"""`GET /v1/models`."""

from __future__ import annotations

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.errors import ModelNotFound
from torana.web.endpoint import endpoint, principal
from torana.web.openai.schemas import error_responses
from torana.web.services import services

area = APIBlueprint("openai_models", __name__, abp_tags=[{"name": "OpenAI API"}])
_CREATED = 1_735_689_600
"""OpenAI's objects carry a time of creation; a route's name has none that means anything."""


class Model(BaseModel):
    """A model that may be asked for."""

    id: str
    object: str = "model"
    created: int = _CREATED
    owned_by: str


class ModelList(BaseModel):
    """All models that the caller may ask for by name."""

    object: str = "list"
    data: list[Model]


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
def list_models() -> ModelList:
    """Models that a provider serves without being listed work as `provider/model`."""
    return ModelList(data=_models())


@endpoint(
    area,
    "GET",
    "/v1/models/<path:model>",
    permission=Permission.READ_MODELS,
    summary="Retrieve a model.",
    responses={200: Model, **error_responses(401, 404)},
)
def retrieve_model(path: ModelPath) -> Model:
    """The model of a name that `GET /v1/models` lists."""
    for model in _models():
        if model.id == path.model:
            return model
    raise ModelNotFound(f"The model {path.model[:100]!r} does not exist here.", param="model")


def _models() -> list[Model]:
    caller = principal()
    routes = services(current_app).catalog().routes.values()
    return [
        Model(id=route.name, owned_by=route.provider)
        for route in routes
        if caller.may_use(route.name)
    ]
