"""Anthropic, and servers that speak as it does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Dialect
from torana.providers.base import Provider, ProviderConfig

API_VERSION = "2023-06-01"
"""What translated calls are written for; a caller of the same dialect names its own."""
_VERSIONED = re.compile(r"/v\d+$")


class AnthropicProvider(Provider):
    """A server with `/v1/messages`. Its base URL may leave the version out, as the SDK's does."""

    speaks: ClassVar[tuple[Dialect, ...]] = (ANTHROPIC,)
    counts_tokens: ClassVar[bool] = True

    def __init__(self, config: ProviderConfig) -> None:
        super().__init__(config)
        if not _VERSIONED.search(self._base_url):
            self._base_url += "/v1"

    def _credential_headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key}

    def _dialect_headers(self, forwarded: Mapping[str, str]) -> dict[str, str]:
        return {"anthropic-version": API_VERSION, **forwarded}
