"""Providers that speak OpenAI's API: OpenAI, look-alikes at any base URL, the local model."""

from __future__ import annotations

from typing import ClassVar

from torana.dialects.base import Dialect
from torana.dialects.openai_audio.speech import OPENAI_SPEECH
from torana.dialects.openai_audio.transcriptions import (
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_images import OPENAI_IMAGE_EDITS, OPENAI_IMAGES
from torana.dialects.openai_moderations import OPENAI_MODERATIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.rerank import RERANK
from torana.providers.base import Provider

MEDIA: tuple[Dialect, ...] = (
    OPENAI_IMAGES,
    OPENAI_IMAGE_EDITS,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
    OPENAI_MODERATIONS,
)
"""What OpenAI offers beside conversations."""


class CompatibleProvider(Provider):
    """A server with OpenAI's chat under its base URL, and what look-alikes offer beside it."""

    speaks: ClassVar[tuple[Dialect, ...]] = (
        OPENAI_CHAT,
        OPENAI_COMPLETIONS,
        OPENAI_EMBEDDINGS,
        *MEDIA,
        RERANK,
    )

    def _credential_headers(self, api_key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {api_key}"}


class OpenAIProvider(CompatibleProvider):
    """OpenAI itself, which keeps conversations too."""

    speaks: ClassVar[tuple[Dialect, ...]] = (
        OPENAI_CHAT,
        OPENAI_RESPONSES,
        OPENAI_COMPLETIONS,
        OPENAI_EMBEDDINGS,
        *MEDIA,
    )
    takes_thinking: ClassVar[bool] = False

    @property
    def max_output_field(self) -> str:
        """OpenAI's reasoning models know only the newer name."""
        return self.config.options.max_output_field or "max_completion_tokens"


class LocalProvider(CompatibleProvider):
    """The small model on the CPU."""

    speaks: ClassVar[tuple[Dialect, ...]] = (OPENAI_CHAT, OPENAI_COMPLETIONS)
