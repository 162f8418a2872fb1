"""What the simulator is asked, and what distinguishes one prepared answer from another.

Only the few fields of a request that decide its answer are read. This module must not know about
sockets, time or the shapes of answers.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from bench.sim.behaviour import Behaviour

Dialect = Literal["openai", "anthropic", "responses", "embeddings"]

CREATED = 1_767_225_600
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-6", "text-embedding-3-small")
WORDS = ("The simulator ", "answers with ", "the same few ", "words every time: ")
DIMENSIONS = 1_536
MAX_DIMENSIONS = 4_096
MAX_INPUTS = 2_048
_NULL = msgspec.Raw(b"null")
_PROMPTS: dict[Dialect, tuple[str, ...]] = {
    "openai": ("messages",),
    "anthropic": ("messages", "system"),
    "responses": ("input", "instructions"),
    "embeddings": ("input",),
}


class StreamOptions(msgspec.Struct):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = False


class Ask(msgspec.Struct):
    """The few request fields that decide the answer; the others are skipped undecoded."""

    model: str
    # A union with None would be decoded; the text of `null` is what absence looks like.
    messages: msgspec.Raw = _NULL
    system: msgspec.Raw = _NULL
    input: msgspec.Raw = _NULL
    instructions: msgspec.Raw = _NULL
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None


class Usage(NamedTuple):
    """Token counts of one call."""

    input_tokens: int
    output_tokens: int


class Kind(NamedTuple):
    """What distinguishes one template from another; the last three are of embeddings."""

    dialect: Dialect
    model: str
    stream: bool
    include_usage: bool
    chunks: int
    usage: Usage
    inputs: int = 1
    dimensions: int = DIMENSIONS
    base64: bool = False


def pieces(kind: Kind) -> list[str]:
    """The text of an answer, piece by piece."""
    return [WORDS[index % len(WORDS)] for index in range(kind.chunks)]


def kind_of(dialect: Dialect, ask: Ask, behaviour: Behaviour) -> Kind:
    """Which answer a request gets."""
    usage = bill(dialect, ask, behaviour)
    if dialect == "embeddings":
        return Kind(
            dialect,
            ask.model,
            stream=False,
            include_usage=False,
            chunks=1,
            usage=usage,
            inputs=_inputs(ask.input),
            dimensions=ask.dimensions or DIMENSIONS,
            base64=ask.encoding_format == "base64",
        )
    options = ask.stream_options
    include_usage = options is not None and bool(options.include_usage)
    return Kind(dialect, ask.model, bool(ask.stream), include_usage, behaviour.chunks, usage)


def problem(dialect: Dialect, ask: Ask) -> str:
    """What the real provider would refuse this request for, or nothing."""
    field = _PROMPTS[dialect][0]
    if getattr(ask, field) is _NULL:
        return f"{field}: Field required"
    if dialect == "openai" and ask.stream_options is not None and not ask.stream:
        return "stream_options is only allowed when stream is true"
    if dialect == "anthropic" and ask.max_tokens is None:
        return "max_tokens: Field required"
    if not 1 <= (ask.dimensions or DIMENSIONS) <= MAX_DIMENSIONS:
        return "dimensions is out of range"
    if dialect == "embeddings" and not 1 <= _inputs(ask.input) <= MAX_INPUTS:
        return "input has too few or too many items"
    return ""


def bill(dialect: Dialect, ask: Ask, behaviour: Behaviour) -> Usage:
    """The usage of a whole answer: fixed numbers, or numbers that follow from the request alone.

    Under `request` four bytes of text in the prompt are one input token, rounded up, and the answer
    is as long as the request allows. A token that is sent as a number is a token. Embeddings have
    no output.
    """
    writes = dialect != "embeddings"
    if behaviour.bill == "fixed":
        return Usage(behaviour.input_tokens, behaviour.fixed_output_tokens if writes else 0)
    size = sum(_text_bytes(msgspec.json.decode(getattr(ask, field))) for field in _PROMPTS[dialect])
    allowed = (ask.max_completion_tokens, ask.max_tokens, ask.max_output_tokens)
    wanted = next((limit for limit in allowed if limit), behaviour.fixed_output_tokens)
    return Usage(-(-size // 4), wanted if writes else 0)


def _text_bytes(value: Any) -> int:
    """Bytes of all text inside a prompt, whatever its nesting; a number is a token of four."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(_text_bytes(item) for item in value)
    if isinstance(value, dict):
        return _text_bytes(value.get("content")) + _text_bytes(value.get("text"))
    return 4 if isinstance(value, int) else 0


def _inputs(raw: msgspec.Raw) -> int:
    """How many vectors are wanted: a text or a list of tokens is one input."""
    value = msgspec.json.decode(raw)
    if isinstance(value, list) and not (value and isinstance(value[0], int)):
        return len(value)
    return 1
