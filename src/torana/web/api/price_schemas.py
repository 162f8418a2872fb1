"""Prices as the management API writes them: exact decimals of dollars."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Typed = Annotated[str, Field(max_length=60, description="Dollars, as a decimal: `0.15`.")]


class Amounts(BaseModel):
    """Dollars per million tokens of each class; per image made, unit of search and call."""

    input: str
    cached: str
    cache_write: str
    cache_write_1h: str
    input_audio: str
    input_image: str
    output: str
    reasoning: str
    output_audio: str
    output_image: str
    image: str
    per_million_characters: str
    per_minute: str
    search: str
    request: str


class TypedAmounts(BaseModel):
    """Dollars per million tokens; per image made, unit of search and call.

    `input` and `output` may be left out of a price by the image, the minute, the search or the
    character.
    """

    model_config = ConfigDict(extra="forbid")

    input: _Typed | None = None
    output: _Typed | None = None
    cached: _Typed | None = None
    cache_write: _Typed | None = None
    cache_write_1h: _Typed | None = None
    input_audio: _Typed | None = None
    input_image: _Typed | None = None
    reasoning: _Typed | None = None
    output_audio: _Typed | None = None
    output_image: _Typed | None = None
    image: _Typed | None = None
    per_million_characters: _Typed | None = None
    per_minute: _Typed | None = None
    search: _Typed | None = None
    request: _Typed | None = None


Variants = Annotated[
    dict[str, str],
    Field(
        max_length=64,
        description="Dollars per image by SIZE/QUALITY: `1024x1024/high`, `1024x1024/*`, `*/hd`.",
    ),
]


class PriceTier(BaseModel):
    """The amounts of calls whose prompt has more than `above` tokens."""

    above: int
    usd: Amounts
