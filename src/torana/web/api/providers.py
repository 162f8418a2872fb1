"""`/api/providers`: upstreams and their keys.

A key comes in and never goes out again. Which private addresses are allowed is decided at the
command line, by whoever has the machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from torana.admin import providers as admin
from torana.admin.provider_checks import check_provider
from torana.auth.policy import Permission
from torana.secret_box import SecretBox
from torana.web.api.schemas import Instant
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_providers", __name__, abp_tags=[{"name": "Management"}])

Url = Annotated[
    str, Field(max_length=2000, description="Up to and with the version: `https://host/v1`.")
]
Options = Annotated[
    dict[str, Any],
    Field(description="What its server wants otherwise than its kind does; see docs/providers.md."),
]
Secret = Annotated[
    SecretStr, Field(max_length=4096, description="The key itself; it is never shown again.")
]
Label = Annotated[str, Field(max_length=64, description="What people call it.")]


class Provider(BaseModel):
    """A provider; never its keys. `built_in` ones come from the settings, and have no id."""

    id: str | None
    name: str
    kind: str
    preset: str | None
    base_url: str
    options: dict[str, Any]
    has_key: bool
    keys: Annotated[int, Field(description="How many keys it has.")]
    enabled: bool
    built_in: bool
    created_at: Instant | None
    updated_at: Instant | None


class Providers(BaseModel):
    """The built-in providers, then the others by name."""

    data: list[Provider]


class NewProviderKey(BaseModel):
    """A key to add."""

    model_config = ConfigDict(extra="forbid")

    label: Label
    secret: Secret


class NewProvider(BaseModel):
    """A provider to add: by a preset, or by its base URL."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=63, description="Its models are `name/model`.")]
    kind: Annotated[
        Literal["compatible", "openai", "anthropic"] | None,
        Field(description="Whose API it speaks; the preset's, or `compatible`."),
    ] = None
    preset: Annotated[str | None, Field(max_length=64, description="See docs/presets.md.")] = None
    base_url: Url | None = None
    variables: Annotated[
        dict[str, str], Field(description="What the preset's base URL leaves open.")
    ] = {}
    options: Options = {}
    keys: Annotated[list[NewProviderKey], Field(max_length=100)] = []
    enabled: bool = True


class ProviderPatch(BaseModel):
    """What shall be different of a provider; what is left out stays. `options` are all of them."""

    model_config = ConfigDict(extra="forbid")

    base_url: Url = ""
    enabled: bool = True
    options: Options = {}


class ProviderCheck(BaseModel):
    """How a provider answered the question for its models."""

    ok: bool
    milliseconds: int
    status: Annotated[int | None, Field(description="The HTTP status, if it answered.")]
    error_code: str | None
    message: str | None
    models: list[str] | None


class ProviderPath(BaseModel):
    """A provider by its name."""

    name: str


@endpoint(
    area,
    "GET",
    "/api/providers",
    permission=Permission.MANAGE_PROVIDERS,
    summary="List providers.",
    responses={200: Providers},
    errors=(401, 403, 503),
)
def list_providers() -> Providers:
    """The built-in ones are those that the settings of the answering process name."""
    built = services(current_app)
    rows = admin.list_providers(built.database, settings=built.settings)
    return Providers(data=[_provider(row) for row in rows])


@endpoint(
    area,
    "POST",
    "/api/providers",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Add a provider.",
    responses={200: Provider},
    errors=(400, 401, 403, 409, 422, 503),
)
def create_provider(body: NewProvider) -> Provider:
    """Calls may go to it within a second.

    A private address needs the permission of the machine's administrator, who gives it with
    `torana providers allow-host`.
    """
    view = admin.add_provider(
        services(current_app).database,
        secret_box(),
        name=body.name,
        kind=body.kind,
        preset=body.preset,
        base_url=body.base_url,
        variables=body.variables,
        options=body.options,
        keys=[(key.label, key.secret.get_secret_value()) for key in body.keys],
        enabled=body.enabled,
        actor=principal().key_id,
    )
    return _provider(view)


@endpoint(
    area,
    "GET",
    "/api/providers/<name>",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Read a provider.",
    responses={200: Provider},
    errors=(401, 403, 404, 503),
)
def read_provider(path: ProviderPath) -> Provider:
    """A built-in one too."""
    built = services(current_app)
    return _provider(admin.get_provider(built.database, path.name, settings=built.settings))


@endpoint(
    area,
    "PATCH",
    "/api/providers/<name>",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Change a provider.",
    responses={200: Provider},
    errors=(400, 401, 403, 404, 409, 422, 503),
)
def update_provider(path: ProviderPath, body: ProviderPatch) -> Provider:
    """Calls under way end as they began. A disabled provider gets no new ones.

    A provider with keys does not move to another server here: they would be sent there.
    """
    given = {name: getattr(body, name) for name in body.model_fields_set}
    view = admin.set_provider(
        services(current_app).database,
        path.name,
        admin.ProviderChange(**given),
        keys_go_along=False,
        actor=principal().key_id,
    )
    return _provider(view)


@endpoint(
    area,
    "DELETE",
    "/api/providers/<name>",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Remove a provider.",
    responses={200: Provider},
    errors=(401, 403, 404, 409, 503),
)
def delete_provider(path: ProviderPath) -> Provider:
    """The provider as it was; its keys go with it. One that routes lead to is not removed."""
    view = admin.remove_provider(
        services(current_app).database, path.name, actor=principal().key_id
    )
    return _provider(view)


@endpoint(
    area,
    "POST",
    "/api/providers/<name>/test",
    permission=Permission.MANAGE_PROVIDERS,
    summary="Ask a provider for its models.",
    responses={200: ProviderCheck},
    errors=(401, 403, 404, 503),
)
def test_provider(path: ProviderPath) -> ProviderCheck:
    """The answering process asks, at most for ten seconds, with one of its keys.

    A provider that fails is told with status 200 and `ok` false.
    """
    built = services(current_app)
    (check,) = check_provider(built.database, built.settings, built.settings.secret_keys, path.name)
    return ProviderCheck.model_validate(msgspec.structs.asdict(check))


def secret_box() -> SecretBox:
    """What encrypts the keys of providers."""
    return SecretBox(services(current_app).settings.secret_keys, admin.PURPOSE)


def _provider(view: admin.ProviderView) -> Provider:
    return Provider.model_validate(msgspec.structs.asdict(view))
