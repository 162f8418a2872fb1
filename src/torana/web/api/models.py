"""`/api/models`: what may be called by name, what is known of it, and what it costs."""

from __future__ import annotations

from typing import Annotated

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from torana.admin.price_terms import describe
from torana.auth.policy import Permission
from torana.core.money import Price
from torana.errors import ModelNotAllowed
from torana.routing.catalog import Target
from torana.web.api.price_schemas import Amounts, PriceTier
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_models", __name__, abp_tags=[{"name": "Management"}])


class ModelPrice(BaseModel):
    """A model's present price; `price_id` is in every ledger row that it has priced."""

    price_id: str
    usd: Amounts
    tiers: list[PriceTier]
    batch_percent: int


class ModelRoute(BaseModel):
    """A model's name, what is behind it, and what that costs; amounts are exact decimals.

    What is not known is null. `suspended` models are closed to calls under a hard budget.
    """

    name: str
    provider: str
    target_model: str
    context_window: int | None
    max_output_tokens: int | None
    inputs: list[str]
    outputs: list[str]
    suspended: bool
    input_usd_per_million: str | None
    output_usd_per_million: str | None
    price: ModelPrice | None


class ModelRoutes(BaseModel):
    """All models that the caller may ask for by name."""

    data: list[ModelRoute]


class ModelPath(BaseModel):
    """The model asked for."""

    name: Annotated[str, Field(description="A route's name, a bare name, or provider/model.")]


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
    return ModelRoutes(
        data=[
            _view(name, catalog.targets(name)[0]) for name in catalog.routes if caller.may_use(name)
        ]
    )


@endpoint(
    area,
    "GET",
    "/api/models/<path:name>",
    permission=Permission.READ_MODELS,
    summary="Show one model by any name that a call may use.",
    responses={200: ModelRoute},
    errors=(401, 403, 404, 503),
)
def read_model(path: ModelPath) -> ModelRoute:
    """What is known of a model that may be called."""
    name = path.name
    if not principal().may_use(name):
        raise ModelNotAllowed(f"This credential may not use the model {name[:100]!r}.")
    return _view(name, services(current_app).catalog().targets(name)[0])


def _view(name: str, target: Target) -> ModelRoute:
    price = _price(target.price)
    return ModelRoute(
        name=name,
        provider=target.provider,
        target_model=target.model,
        context_window=target.facts.context_window,
        max_output_tokens=target.max_output,
        inputs=list(target.facts.inputs),
        outputs=list(target.facts.outputs),
        suspended=target.suspended,
        input_usd_per_million=None if price is None else price.usd.input,
        output_usd_per_million=None if price is None else price.usd.output,
        price=price,
    )


def _price(price: Price | None) -> ModelPrice | None:
    if price is None:
        return None
    terms = describe(price.terms)
    return ModelPrice(
        price_id=price.id,
        usd=Amounts(**terms.usd),
        tiers=[PriceTier(above=tier.above, usd=Amounts(**tier.usd)) for tier in terms.tiers],
        batch_percent=terms.batch_percent,
    )
