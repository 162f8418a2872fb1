"""What the simulator does and charges, as one frozen value, and where the value comes from.

The environment names and the flags are listed in `bench.simulator`. This module must not know
about sockets or wire formats.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Literal

import msgspec

TOKENS_PER_CHUNK = 3
_NO_TEXT = {"models"}
"""Fields that neither a flag nor a variable sets."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a call is answered; `POST /_behaviour` decodes straight into this shape.

    `latency_ms` passes before the first byte, `chunk_ms` between two chunks of a stream.
    `output_tokens` of None means three for each chunk. `bill` chooses whether the token counts are
    these numbers (`fixed`) or follow from the request (`request`). `models` has the behaviour of
    single models, by their names; it can be set by `POST /_behaviour` only.
    """

    latency_ms: float = 0.0
    chunks: int = 20
    chunk_ms: float = 0.0
    input_tokens: int = 100
    output_tokens: int | None = None
    bill: Literal["fixed", "request"] = "fixed"
    journal: bool = False
    models: dict[str, Behaviour] = {}

    def __post_init__(self) -> None:
        """Refuse numbers that no server could act on.

        Raises:
            ValueError: When a duration or a count is out of range.
        """
        if self.latency_ms < 0 or self.chunk_ms < 0:
            raise ValueError("latency_ms and chunk_ms are milliseconds of 0 or more")
        if not 1 <= self.chunks <= 100_000:
            raise ValueError("chunks is a number from 1 to 100000")
        if self.input_tokens < 0 or (self.output_tokens or 0) < 0:
            raise ValueError("input_tokens and output_tokens are 0 or more")

    @property
    def fixed_output_tokens(self) -> int:
        """Output tokens of a call whose request does not say how many it wants."""
        if self.output_tokens is not None:
            return self.output_tokens
        return self.chunks * TOKENS_PER_CHUNK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each field; a flag that is absent stays out of the namespace."""
    group = parser.add_argument_group("behaviour (each also as SIM_... in the environment)")
    for flag in (name.replace("_", "-") for name in _names()):
        group.add_argument(f"--{flag}", default=argparse.SUPPRESS, metavar="VALUE")


def _names() -> list[str]:
    return [name for name in Behaviour.__struct_fields__ if name not in _NO_TEXT]


def from_sources(environment: Mapping[str, str], flags: Mapping[str, object]) -> Behaviour:
    """Build the behaviour from `SIM_*` variables, overridden by flags.

    Raises:
        ValueError: When a value does not fit its field.
    """
    values: dict[str, object] = {}
    for name in _names():
        text = flags.get(name, environment.get(f"SIM_{name.upper()}", ""))
        if text != "":
            values[name] = text
    try:
        return msgspec.convert(values, Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"behaviour: {error}") from error
