"""Prices as the management API writes them: exact decimals of dollars."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Typed = Annotated[str, Field(max_length=60, description="Dollars, as a decimal: `0.15`.")]


class Amounts(BaseModel):
    """Dollars per million tokens of each class; per image made and per call."""

    input: str
    cached: str
    cache_write: str
    cache_write_1h: str
    input_audio: str
    output: str
    reasoning: str
    output_audio: str
    image: str
    request: str


class TypedAmounts(BaseModel):
    """Dollars per million tokens; per image made and per call."""

    model_config = ConfigDict(extra="forbid")

    input: _Typed
    output: _Typed
    cached: _Typed | None = None
    cache_write: _Typed | None = None
    cache_write_1h: _Typed | None = None
    input_audio: _Typed | None = None
    reasoning: _Typed | None = None
    output_audio: _Typed | None = None
    image: _Typed | None = None
    request: _Typed | None = None


class PriceTier(BaseModel):
    """The amounts of calls whose prompt has more than `above` tokens."""

    above: int
    usd: Amounts
