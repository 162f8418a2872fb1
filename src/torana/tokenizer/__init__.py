"""Counting tokens with the public vocabularies of OpenAI's models, which ship with Torana.

Nothing is downloaded, and nothing is loaded before it is needed: a vocabulary takes tens of
megabytes, and most calls are bounded well enough by their bytes.
"""

from __future__ import annotations

from torana.tokenizer.counting import (
    chat_input_tokens,
    count,
    estimated_tokens,
    known,
    visible_output_tokens,
)

__all__ = [
    "chat_input_tokens",
    "count",
    "estimated_tokens",
    "known",
    "visible_output_tokens",
]
