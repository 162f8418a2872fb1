"""`/api/prices`: what models cost, and what they shall cost from an instant on."""

from __future__ import annotations

from typing import Annotated

from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from torana.admin import prices as admin
from torana.admin.price_terms import describe, make_terms
from torana.auth.policy import Permission
from torana.web.api.price_schemas import Amounts, PriceTier, TypedAmounts, Variants
from torana.web.api.schemas import Instant
from torana.web.endpoint import endpoint
from torana.web.services import services

area = APIBlueprint("api_prices", __name__, abp_tags=[{"name": "Management"}])


class PricesQuery(BaseModel):
    """Which prices."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str | None, Field(description="Only this provider's.")] = None
    model: Annotated[
        str | None,
        Field(description="Only this model's; a dated name finds the price of its model."),
    ] = None
    history: Annotated[bool, Field(description="Also what was, and what is announced.")] = False


class PricePath(BaseModel):
    """The model whose price it is; `*` stands for all others of the provider."""

    provider: str
    model: str


class NewPriceTier(BaseModel):
    """The amounts of calls whose prompt has more than `above` tokens."""

    model_config = ConfigDict(extra="forbid")

    above: Annotated[int, Field(ge=1, le=10**12)]
    usd: TypedAmounts


class NewPrice(BaseModel):
    """A price to set. Classes that are left out cost what they might: see the documentation."""

    model_config = ConfigDict(extra="forbid")

    usd: TypedAmounts
    tiers: Annotated[list[NewPriceTier], Field(max_length=8)] = []
    image_variants: Variants = {}
    batch_percent: Annotated[int, Field(ge=0, le=100)] = 100
    valid_from: Annotated[
        AwareDatetime | None, Field(description="When it begins; now if left out.")
    ] = None


class PriceVersion(BaseModel):
    """One version of a price; amounts are exact decimals, null when the model has none."""

    provider: str
    model: str
    source: str
    valid_from: Instant
    in_force: bool
    price_id: str
    usd: Amounts | None
    tiers: list[PriceTier]
    image_variants: dict[str, str]
    batch_percent: int


class PriceVersions(BaseModel):
    """Prices by provider and model, of each the newest first."""

    data: list[PriceVersion]


@endpoint(
    area,
    "GET",
    "/api/prices",
    permission=Permission.READ_MODELS,
    summary="List prices.",
    responses={200: PriceVersions},
    errors=(401, 422, 503),
)
def list_prices(query: PricesQuery) -> PriceVersions:
    """The prices in force, or all versions."""
    rows = admin.list_prices(
        services(current_app).database,
        provider=query.provider,
        model=query.model,
        history=query.history,
    )
    return PriceVersions(data=[_view(row) for row in rows])


@endpoint(
    area,
    "PUT",
    "/api/prices/<provider>/<path:model>",
    permission=Permission.MANAGE_PRICES,
    summary="Set the price of a model.",
    responses={200: PriceVersion},
    errors=(400, 401, 403, 422, 503),
)
def set_price(path: PricePath, body: NewPrice) -> PriceVersion:
    """Add a version of a price; old ones stay as they are."""
    terms = make_terms(
        body.usd.model_dump(),
        [(tier.above, tier.usd.model_dump()) for tier in body.tiers],
        image_variants=body.image_variants,
        batch_percent=body.batch_percent,
    )
    row = admin.set_by_operator(
        services(current_app).database,
        provider=path.provider,
        model=path.model,
        terms=terms,
        begins=body.valid_from,
    )
    return _view(row)


def _view(row: admin.PriceRow) -> PriceVersion:
    terms = None if row.terms is None else describe(row.terms)
    return PriceVersion(
        provider=row.provider,
        model=row.model,
        source=row.source,
        valid_from=row.valid_from,
        in_force=row.in_force,
        price_id=row.price_id,
        usd=None if terms is None else Amounts(**terms.usd),
        tiers=[]
        if terms is None
        else [PriceTier(above=tier.above, usd=Amounts(**tier.usd)) for tier in terms.tiers],
        image_variants={} if terms is None else terms.image_variants,
        batch_percent=100 if terms is None else terms.batch_percent,
    )
