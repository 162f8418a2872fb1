"""Upstreams: how to speak to each kind of provider. A new kind is one file and one line here."""

from __future__ import annotations

from torana.providers.anthropic import AnthropicProvider
from torana.providers.base import Provider, ProviderConfig, Sending
from torana.providers.check import CheckResult
from torana.providers.echo import EchoProvider
from torana.providers.openai import CompatibleProvider, LocalProvider, OpenAIProvider
from torana.providers.options import Credential, ProviderOptions

KINDS: dict[str, type[Provider]] = {
    "openai": OpenAIProvider,
    "anthropic": AnthropicProvider,
    "compatible": CompatibleProvider,
    "local": LocalProvider,
    "echo": EchoProvider,
}
"""Every kind."""


def build(config: ProviderConfig) -> Provider:
    """The provider for a configuration.

    Raises:
        KeyError: its kind is not in `KINDS`.
    """
    return KINDS[config.kind](config)


__all__ = [
    "KINDS",
    "CheckResult",
    "Credential",
    "Provider",
    "ProviderConfig",
    "ProviderOptions",
    "Sending",
    "build",
]
