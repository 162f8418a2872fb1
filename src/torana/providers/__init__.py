"""Upstreams: how to speak to each kind of provider. A new kind is one file and one line here."""

from __future__ import annotations

from torana.providers.base import Provider, ProviderConfig
from torana.providers.echo import EchoProvider
from torana.providers.openai import OpenAIProvider

KINDS: dict[str, type[Provider]] = {
    "openai": OpenAIProvider,
    "compatible": OpenAIProvider,
    "local": OpenAIProvider,
    "echo": EchoProvider,
}
"""Every kind. `compatible` and `local` speak as OpenAI does and differ in their data."""


def build(config: ProviderConfig) -> Provider:
    """The provider for a configuration.

    Raises:
        KeyError: its kind is not in `KINDS`.
    """
    return KINDS[config.kind](config)


__all__ = ["KINDS", "Provider", "ProviderConfig", "build"]
