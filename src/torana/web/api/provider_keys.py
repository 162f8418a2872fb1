"""`/api/providers/NAME/keys`: a provider's credentials, which come in and never go out again."""

from __future__ import annotations

import msgspec
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.admin import provider_keys as admin
from torana.auth.policy import Permission
from torana.web.api.providers import NewProviderKey, ProviderPath, secret_box
from torana.web.api.schemas import Instant
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_provider_keys", __name__, abp_tags=[{"name": "Management"}])


class ProviderKey(BaseModel):
    """A key, without any of its secret."""

    id: str
    provider: str
    label: str
    created_at: Instant


class ProviderKeys(BaseModel):
    """A provider's keys, in the order in which they were added."""

    data: list[ProviderKey]


class ProviderKeyPath(BaseModel):
    """A provider's key by its id or its label."""

    name: str
    key: str


@endpoint(
    area,
    "GET",
    "/api/providers/<name>/keys",
    permission=Permission.MANAGE_PROVIDERS,
    summary="List a provider's keys.",
    responses={200: ProviderKeys},
    errors=(401, 403, 404, 409, 503),
)
def list_provider_keys(path: ProviderPath) -> ProviderKeys:
    """Of a provider that was added; the keys of built-in ones are settings."""
    rows = admin.list_keys(services(current_app).database, path.name)
    return ProviderKeys(data=[_key(row) for row in rows])


@endpoint(
    area,
    "POST",
    "/api/providers/<name>/keys",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Give a provider another key.",
    responses={200: ProviderKey},
    errors=(400, 401, 403, 404, 409, 422, 503),
)
def create_provider_key(path: ProviderPath, body: NewProviderKey) -> ProviderKey:
    """Calls use it within a second."""
    view = admin.add_key(
        services(current_app).database,
        secret_box(),
        path.name,
        label=body.label,
        secret=body.secret.get_secret_value(),
        actor=principal().key_id,
    )
    return _key(view)


@endpoint(
    area,
    "DELETE",
    "/api/providers/<name>/keys/<key>",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Take a key away from a provider.",
    responses={200: ProviderKey},
    errors=(401, 403, 404, 409, 503),
)
def delete_provider_key(path: ProviderKeyPath) -> ProviderKey:
    """The key as it was."""
    view = admin.remove_key(
        services(current_app).database, path.name, path.key, actor=principal().key_id
    )
    return _key(view)


def _key(view: admin.ProviderKeyView) -> ProviderKey:
    return ProviderKey.model_validate(msgspec.structs.asdict(view))
