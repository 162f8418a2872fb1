"""`GET /api/models`."""

from __future__ import annotations

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.core.money import format_usd
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_models", __name__, abp_tags=[{"name": "Management"}])


class ModelRoute(BaseModel):
    """A model's name and what is behind it. Prices are dollars per million tokens, exact."""

    name: str
    provider: str
    target_model: str
    max_output_tokens: int | None
    input_usd_per_million: str | None
    output_usd_per_million: str | None


class ModelRoutes(BaseModel):
    """All models that the caller may ask for by name."""

    data: list[ModelRoute]


@endpoint(
    area,
    "GET",
    "/api/models",
    permission=Permission.READ_MODELS,
    summary="List models with their providers and prices.",
    responses={200: ModelRoutes},
    errors=(401, 503),
)
def list_model_routes() -> ModelRoutes:
    """The names that calls may use, and what each costs."""
    caller = principal()
    catalog = services(current_app).catalog()
    rows = []
    for route in catalog.routes.values():
        if not caller.may_use(route.name):
            continue
        target = catalog.targets(route.name)[0]
        price = target.price
        rows.append(
            ModelRoute(
                name=route.name,
                provider=target.provider,
                target_model=target.model,
                max_output_tokens=target.max_output,
                input_usd_per_million=format_usd(price.input) if price is not None else None,
                output_usd_per_million=format_usd(price.output) if price is not None else None,
            )
        )
    return ModelRoutes(data=rows)
