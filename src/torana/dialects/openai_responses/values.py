"""Reading JSON that someone else has made: what must be there, and where it is when it is not."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from torana.dialects.surrogates import without_halves
from torana.dialects.wire import BAD_JSON
from torana.errors import InvalidRequest

_T = TypeVar("_T")


def bad(where: str, wanted: str) -> InvalidRequest:
    """The error for a value that is not what is wanted.

    Args:
        where: such as `input[2].content[0].type`.
        wanted: such as `a text`.
    """
    return InvalidRequest(f"Invalid value for '{where}': it must be {wanted}.", param=where)


def object_at(value: Any, where: str) -> dict[str, Any]:
    """A value that must be an object.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(value, dict):
        raise bad(where, "an object")
    return value


def list_at(value: Any, where: str) -> list[Any]:
    """A value that must be a list.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(value, list):
        raise bad(where, "a list")
    return value


def text_in(holder: dict[str, Any], key: str, where: str) -> str:
    """A text that must be there.

    Args:
        holder: an object.
        key: of the text.
        where: the object is.

    Raises:
        InvalidRequest: there is none.
    """
    value = holder.get(key)
    if not isinstance(value, str):
        raise bad(f"{where}.{key}", "a text")
    return value


def maybe_text_in(holder: dict[str, Any], key: str, where: str) -> str | None:
    """A text that may be absent or null.

    Raises:
        InvalidRequest: there is something else.
    """
    return None if holder.get(key) is None else text_in(holder, key, where)


def decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> tuple[_T, bytes]:
    """A provider's JSON, and the bytes that were read.

    A stream may cut a character in two halves, which no decoder takes; each is read as the
    replacement character then.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not what is wanted.
    """
    try:
        return decoder.decode(data), data
    except BAD_JSON:
        mended = without_halves(data)
        if mended is None:
            raise
        return decoder.decode(mended), mended
