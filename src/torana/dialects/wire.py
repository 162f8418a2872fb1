"""A request body as its top-level fields, raw: what every dialect reads from and writes again.

A body is split into fields and written again from exactly those, so unknown fields, long numbers
and escapes survive, and what was priced is what is sent. A field that occurs twice is refused: two
readers of one body could heed different ones.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from torana.dialects.surrogates import without_halves
from torana.errors import InvalidJson, InvalidRequest

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for bytes that are not the JSON that is wanted."""
ABSENT = msgspec.Raw()
MAX_OUTPUT_TOKENS = 10**9
_MAX_MODEL_LENGTH = 200
_NAME_LENGTH = 80
_SPACE = re.compile(rb"[ \t\r\n]*")
_KEY = re.compile(rb'[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_AFTER = re.compile(rb"[ \t\r\n]*([,}])")
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What Torana reads of a request in any dialect; `fields` holds all of it, raw, in its order.

    Attributes:
        max_output: the caller's limit on output tokens per choice, if there is one.
        choices: how many answers are asked for.
        include_usage: whether the caller wants the usage of a stream; dialects that always tell it
            say True.
        size: bytes of the body.
    """

    model: str
    stream: bool
    include_usage: bool
    max_output: int | None
    choices: int
    size: int
    fields: dict[str, msgspec.Raw]


def decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level fields of a body.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field occurs twice; `param` names it.
    """
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        fields = _fields_decoder.decode(body)
    except BAD_JSON as error:
        return _fields_with_halves(body, error)
    _, twice = _places(body, fields)
    if twice is not None:
        raise _twice(twice)
    return fields


def _fields_with_halves(body: bytes, error: Exception) -> dict[str, msgspec.Raw]:
    """The fields of a body with half characters, which stay as they are.

    Raises:
        InvalidJson: it has none; something else is wrong.
    """
    mended = without_halves(body)
    try:
        if mended is None:
            raise error
        mended.decode()
        fields = _fields_decoder.decode(mended)
    except BAD_JSON as wrong:
        raise InvalidJson(
            "The body must be a JSON object.", hint=f"The parser says: {wrong}."
        ) from None
    places, twice = _places(mended, fields)
    if twice is not None:
        raise _twice(twice)
    return {
        name: msgspec.Raw(body[start:end])
        for name, (start, end) in zip(fields, places, strict=True)
    }


def readable(request: WireRequest) -> WireRequest:
    """A request whose half characters are replaced, so that all of it can be read."""
    mended = {
        name: msgspec.Raw(better)
        for name, value in request.fields.items()
        if (better := without_halves(bytes(value))) is not None
    }
    return msgspec.structs.replace(request, fields=request.fields | mended) if mended else request


def _twice(name: str) -> InvalidRequest:
    return InvalidRequest(f"The field {name!r} occurs twice.", param=name)


def encode_fields(fields: dict[str, Any]) -> bytes:
    """A body of fields; raw values are written as they are."""
    return _encoder.encode(fields)


def raw(value: Any) -> msgspec.Raw:
    """A value as a field."""
    return msgspec.Raw(_encoder.encode(value))


def optional(fields: dict[str, msgspec.Raw], name: str, kind: Any) -> Any:
    """A field's value, None when it is absent or null.

    Args:
        fields: of the body.
        name: of the field.
        kind: a type as msgspec takes it.

    Raises:
        InvalidRequest: it is not of that type.
    """
    value = fields.get(name)
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=kind | None)
    except BAD_JSON as error:
        mended = without_halves(bytes(value))
        if mended is not None:
            return optional({name: msgspec.Raw(mended)}, name, kind)
        raise InvalidRequest(f"Invalid value for '{name}': {error}.", param=name) from None


def required(fields: dict[str, msgspec.Raw], name: str, kind: Any) -> Any:
    """Like `optional`, for a field that must be there.

    Raises:
        InvalidRequest: it is absent, null or not of that type.
    """
    value = optional(fields, name, kind)
    if value is None:
        raise missing(name)
    return value


def missing(name: str) -> InvalidRequest:
    """The error for a field that must be there and is not."""
    return InvalidRequest(f"Missing required parameter: '{name}'.", param=name)


def model_of(fields: dict[str, msgspec.Raw]) -> str:
    """The model that is asked for.

    Raises:
        InvalidRequest: there is none, or what is there can't be a model's name.
    """
    model: str = required(fields, "model", str)
    is_text = without_halves(bytes(fields["model"])) is None
    if not (is_text and 0 < len(model) <= _MAX_MODEL_LENGTH and model.isprintable()):
        raise InvalidRequest(
            f"'model' must be a name of 1 to {_MAX_MODEL_LENGTH} printable characters.",
            param="model",
        )
    return model


def output_limit(fields: dict[str, msgspec.Raw], *names: str) -> int | None:
    """The limit on output tokens; of several fields a provider may obey either: the largest.

    Raises:
        InvalidRequest: one is no number, or beyond all sense.
    """
    limits = []
    for name in names:
        value = optional(fields, name, int)
        if value is not None:
            if not 0 <= value <= MAX_OUTPUT_TOKENS:
                raise InvalidRequest(
                    f"'{name}' must be between 0 and {MAX_OUTPUT_TOKENS:,}.", param=name
                )
            limits.append(value)
    return max(limits, default=None)


def with_model(body: bytes, model: str) -> bytes:
    """An answer's body with another name of the model in its top level.

    Raises:
        msgspec.DecodeError: it is not an object.
    """
    fields = _fields_decoder.decode(body)
    fields["model"] = raw(model)
    return _encoder.encode(fields)


def _places(
    body: bytes, fields: dict[str, msgspec.Raw]
) -> tuple[list[tuple[int, int]], str | None]:
    """Where the values of a body's fields are, and a field that occurs twice in it.

    The decoder keeps the last of two and the place of the first. So the fields are sought in their
    order, each where the one before has ended: where one is not found, or something comes after the
    last, a field is there twice.
    """
    found = _SPACE.match(body)
    place = (found.end() if found else 0) + 1
    places: list[tuple[int, int]] = []
    seen: set[str] = set()
    for name, value in fields.items():
        key = _KEY.match(body, place)
        if key is None:
            return places, name[:_NAME_LENGTH]
        if not body.startswith(value, key.end()):
            return places, _name_at(key, seen) or name[:_NAME_LENGTH]
        seen.add(name)
        places.append((key.end(), key.end() + len(value)))
        end = _AFTER.match(body, places[-1][1])
        if end is None:
            return places, name[:_NAME_LENGTH]
        place = end.end()
    if not fields or body[place - 1 : place] == b"}":
        return places, None
    key = _KEY.match(body, place)
    named = _name_at(key, seen) if key is not None else None
    return places, named or next(iter(fields))[:_NAME_LENGTH]


def _name_at(key: re.Match[bytes], seen: set[str]) -> str | None:
    name: str = msgspec.json.decode(b'"' + key[1] + b'"')
    return name[:_NAME_LENGTH] if name in seen else None
