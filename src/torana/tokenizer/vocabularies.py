"""The vocabularies: how text is cut before it is merged, and the tokens by rank.

The patterns are those of tiktoken's `openai_public.py`; the tokens come from the files that it
names, packed by `scripts/make_vocabularies.py`. A test compares both with tiktoken's own.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from importlib.resources import files
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from torana.offload import native_lock

if TYPE_CHECKING:
    from tiktoken import Encoding


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """What is fixed of a vocabulary.

    Attributes:
        size: how many tokens it has, without special ones.
        sha256: of the file in tiktoken's form from which it was packed, in hex.
        pattern: cuts a text into the pieces whose bytes are merged.
    """

    size: int
    sha256: str
    pattern: str


VOCABULARIES: Mapping[str, Vocabulary] = MappingProxyType(
    {
        "o200k_base": Vocabulary(
            size=199_998,
            sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
            pattern=(
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*"
                r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
                r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            ),
        ),
        "cl100k_base": Vocabulary(
            size=100_256,
            sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            pattern=(
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
                r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
            ),
        ),
    }
)

_FILTERS: list[dict[str, int]] = [
    # A dictionary as large as the data; more would only be memory at the time of loading.
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2 * 1024 * 1024}
]
_lock = native_lock()
_loaded: dict[str, Encoding] = {}


def loaded(name: str) -> bool:
    """Whether a vocabulary is in memory."""
    return name in _loaded


def encoding(name: str) -> Encoding:
    """A vocabulary, loaded once per process. Blocks for about a second the first time.

    Raises:
        KeyError: there is none of that name.
    """
    found = _loaded.get(name)
    if found is None:
        with _lock:
            found = _loaded.get(name)
            if found is None:
                found = _loaded[name] = _load(name)
    return found


def pack(tokens: list[bytes]) -> bytes:
    """Tokens by rising rank as one compressed block; `unpack` is the other way."""
    lengths = bytes(len(token) for token in tokens)
    return lzma.compress(lengths + b"".join(tokens), filters=_FILTERS)


def unpack(packed: bytes, size: int) -> list[bytes]:
    """The tokens of a packed vocabulary that has so many.

    Raises:
        ValueError: the block has another size.
    """
    data = lzma.decompress(packed)
    offsets = list(accumulate(data[:size], initial=size))
    if offsets[-1] != len(data):
        message = "a vocabulary's file is damaged"
        raise ValueError(message)
    return [data[start:end] for start, end in pairwise(offsets)]


def packed(name: str) -> bytes:
    """The packed vocabulary as it is shipped."""
    return files("torana.tokenizer").joinpath("data", f"{name}.xz").read_bytes()


def _load(name: str) -> Encoding:
    from tiktoken import Encoding  # noqa: PLC0415 -- only where it is needed: it has a price

    vocabulary = VOCABULARIES[name]
    tokens = unpack(packed(name), vocabulary.size)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    built = Encoding(name, pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={})
    # It has a copy of its own to count with; this one would take as much again for nothing.
    ranks.clear()
    return built
