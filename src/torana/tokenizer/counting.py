"""How many tokens a text is, off the hub, in bounded time and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torana.dialects.costs import PromptTexts
from torana.offload import offload
from torana.tokenizer import vocabularies
from torana.tokenizer.pieces import pieces

if TYPE_CHECKING:
    from tiktoken import Encoding

MESSAGE_TOKENS = 8
"""Marks around a message. OpenAI states 3, one for a name, and 3 before the answer."""
TEXT_TOKENS = 4
"""For what merging may change where one text of a message meets the next."""
_USUAL = "o200k_base"
_BYTES_OF_A_TOKEN = 4
_INLINE = 2_000
"""Characters that are counted sooner than a thread is woken."""


def known(vocabulary: str | None) -> bool:
    """Whether a vocabulary ships with Torana."""
    return vocabulary in vocabularies.VOCABULARIES


def count(vocabulary: str, texts: Sequence[str]) -> int:
    """Tokens of texts, each counted by itself, never fewer than the tokenizer's own.

    Special tokens in a text count as the text that they are. A stretch that has no end for
    thousands of characters counts by its bytes.

    Raises:
        KeyError: the vocabulary is not `known`.
    """
    if vocabularies.loaded(vocabulary) and sum(map(len, texts)) <= _INLINE:
        return _count(vocabulary, texts)
    return offload(_count, vocabulary, texts)


def chat_input_tokens(prompt: PromptTexts, vocabulary: str) -> int:
    """The most tokens that a prompt can be: its texts counted, everything else by its bytes.

    Never more than its bytes. What a provider's own template adds is added by
    `torana.ledger.bounds`.

    Raises:
        KeyError: the vocabulary is not `known`.
    """
    marks = prompt.messages * MESSAGE_TOKENS + len(prompt.texts) * TEXT_TOKENS
    counted = count(vocabulary, prompt.texts) + marks + prompt.other_bytes
    return min(counted, prompt.all_bytes)


def estimated_tokens(prompt: PromptTexts, vocabulary: str | None) -> int:
    """About how many tokens a prompt is; for a model whose vocabulary is not public, by another.

    Args:
        prompt: its texts.
        vocabulary: of the model's text, if it ships with Torana.
    """
    name = vocabulary if vocabulary is not None and known(vocabulary) else _USUAL
    marks = prompt.messages * MESSAGE_TOKENS
    return count(name, prompt.texts) + marks + prompt.other_bytes // _BYTES_OF_A_TOKEN


def visible_output_tokens(text: str, vocabulary: str) -> int:
    """Tokens of the part of an answer that has been seen, for a stream that was cancelled.

    Raises:
        KeyError: the vocabulary is not `known`.
    """
    return count(vocabulary, (text,))


def _count(vocabulary: str, texts: Sequence[str]) -> int:
    encoding = vocabularies.encoding(vocabulary)
    return sum(_tokens(encoding, text) for text in texts)


def _tokens(encoding: Encoding, text: str) -> int:
    tokens = 0
    for piece, mergeable in pieces(text):
        if mergeable:
            tokens += len(encoding.encode_ordinary(piece))
        else:
            tokens += len(piece.encode("utf-8", "surrogatepass"))
    return tokens
