"""`/api/models`: what may be called by name, what is known of it, what it costs; its routes."""

from __future__ import annotations

from typing import Annotated

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from torana.admin import routes as admin
from torana.admin.price_terms import describe
from torana.auth.policy import Permission
from torana.core.money import Price
from torana.errors import ModelNotAllowed
from torana.routing.catalog import Catalog, Target
from torana.routing.routes import Route, RouteTarget
from torana.web.api.price_schemas import Amounts, PriceTier
from torana.web.api.routes_schemas import RouteBody, RouteRow, route_of
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_models", __name__, abp_tags=[{"name": "Management"}])


class ModelPrice(BaseModel):
    """A model's present price; `price_id` is in every ledger row that it has priced."""

    price_id: str
    usd: Amounts
    tiers: list[PriceTier]
    batch_percent: int


class ModelTarget(BaseModel):
    """One of the providers' models behind a name."""

    provider: str
    model: str
    priority: int
    weight: int
    region: str | None
    suspended: bool
    input_usd_per_million: str | None
    output_usd_per_million: str | None


class ModelRoute(BaseModel):
    """A model's name, what is behind it, and what that costs; amounts are exact decimals.

    What is not known is null. `suspended` models are closed to calls under a hard budget. What is
    told of one model is told of the first of `targets`.
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
    strategy: Annotated[str, Field(description="How one of several targets is chosen.")]
    sticky: Annotated[bool, Field(description="A conversation stays at one target.")]
    cache_seconds: Annotated[int | None, Field(description="How long answers are kept.")]
    targets: Annotated[list[ModelTarget], Field(description="In the order of their priorities.")]


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
            _view(catalog, route) for name, route in catalog.routes.items() if caller.may_use(name)
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
    catalog = services(current_app).catalog()
    return _view(catalog, catalog.route(name))


@endpoint(
    area,
    "PUT",
    "/api/models/<path:name>",
    permission=Permission.MANAGE_MODELS,
    summary="Let a model's name lead to targets.",
    responses={200: RouteRow},
    errors=(400, 401, 403, 422, 503),
)
def put_route(path: ModelPath, body: RouteBody) -> RouteRow:
    """Replaces the route as a whole; calls follow it within a second."""
    view = admin.put_route(
        services(current_app).database,
        route_of(path.name, body),
        enabled=body.enabled,
        actor=principal().key_id,
    )
    return _row(view)


@endpoint(
    area,
    "DELETE",
    "/api/models/<path:name>",
    permission=Permission.MANAGE_MODELS,
    summary="Remove a route.",
    responses={200: RouteRow},
    errors=(401, 403, 404, 503),
)
def delete_route(path: ModelPath) -> RouteRow:
    """The route as it was. Its name then leads where it would without a route."""
    return _row(
        admin.remove_route(services(current_app).database, path.name, actor=principal().key_id)
    )


def _row(view: admin.RouteView) -> RouteRow:
    return RouteRow.model_validate(admin.describe_route(view))


def _view(catalog: Catalog, route: Route) -> ModelRoute:
    pairs = zip(route.targets, catalog.targets_of(route), strict=True)
    ordered = sorted(pairs, key=lambda pair: pair[0].priority)
    target = ordered[0][1]
    price = _price(target.price)
    return ModelRoute(
        name=route.name,
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
        strategy=route.strategy,
        sticky=route.sticky,
        cache_seconds=None if route.cache is None else route.cache.seconds,
        targets=[_target(entry, found) for entry, found in ordered],
    )


def _target(entry: RouteTarget, target: Target) -> ModelTarget:
    usd = None if target.price is None else describe(target.price.terms).usd
    return ModelTarget(
        provider=entry.provider,
        model=entry.model,
        priority=entry.priority,
        weight=entry.weight,
        region=entry.region,
        suspended=target.suspended,
        input_usd_per_million=None if usd is None else usd["input"],
        output_usd_per_million=None if usd is None else usd["output"],
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
