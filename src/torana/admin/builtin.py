"""What settings alone make: the built-in providers, and the routes to their models."""

from __future__ import annotations

from pydantic import SecretStr

from torana.providers import ProviderConfig
from torana.providers.options import Credential
from torana.routing.routes import Route, single
from torana.settings import Settings

LOCAL_MODEL = "smollm2-135m"
LOCAL_CONTEXT = 2048
ECHO_MODEL = "echo"


def builtin_providers(settings: Settings) -> list[ProviderConfig]:
    """The providers that settings alone make."""
    configs = []
    if settings.openai_api_key is not None:
        configs.append(
            ProviderConfig(
                name="openai",
                kind="openai",
                base_url=settings.openai_base_url,
                keys=(_from_settings(settings.openai_api_key),),
                private=True,
            )
        )
    if settings.anthropic_api_key is not None:
        configs.append(
            ProviderConfig(
                name="anthropic",
                kind="anthropic",
                base_url=settings.anthropic_base_url,
                keys=(_from_settings(settings.anthropic_api_key),),
                private=True,
            )
        )
    if settings.local_model_url is not None:
        key = settings.local_model_key
        configs.append(
            ProviderConfig(
                name="local",
                kind="local",
                base_url=settings.local_model_url,
                keys=() if key is None else (_from_settings(key),),
                private=True,
                rewrites_model=True,
                keeps_alive=False,
            )
        )
    if settings.echo:
        configs.append(ProviderConfig(name="echo", kind="echo", base_url="echo:", private=True))
    return configs


def builtin_routes(settings: Settings) -> dict[str, Route]:
    """The routes that settings alone make, by name."""
    routes = {}
    if settings.local_model_url is not None:
        routes[LOCAL_MODEL] = single(LOCAL_MODEL, "local", LOCAL_MODEL, max_output=LOCAL_CONTEXT)
    if settings.echo:
        routes[ECHO_MODEL] = single(ECHO_MODEL, "echo", ECHO_MODEL)
    return routes


def _from_settings(key: SecretStr) -> Credential:
    return Credential(id="settings", secret=key.get_secret_value())
