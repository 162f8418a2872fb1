"""OpenAI's audio: texts that are read aloud, recordings that are written down or translated.

Source: OpenAI's public API reference and the types of the openai SDK.
"""

from __future__ import annotations

from torana.dialects.openai_audio.speech import OPENAI_SPEECH
from torana.dialects.openai_audio.transcriptions import OPENAI_TRANSCRIPTIONS, OPENAI_TRANSLATIONS

__all__ = ["OPENAI_SPEECH", "OPENAI_TRANSCRIPTIONS", "OPENAI_TRANSLATIONS"]
