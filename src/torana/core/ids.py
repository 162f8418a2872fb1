"""Identifiers: a type prefix and a UUIDv7, written as in the TypeID specification (version 0.3).

`req_01h455vb4pex5vsknk084sn02q` sorts by time, names its type and needs no translation between the
database, the logs and the wire. Ids are made by the server only; callers' own ids are tags.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Literal

Prefix = Literal[
    "org",
    "user",
    "mem",
    "proj",
    "key",
    "prov",
    "pkey",
    "route",
    "guard",
    "price",
    "bal",
    "bud",
    "evt",
    "req",
    "own",
]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
"""Two base32 digits at a time: an id is made for every call."""
_DIGITS = {letter: value for value, letter in enumerate(_ALPHABET)}
_SUFFIX_LENGTH = 26


def new_id(prefix: Prefix) -> str:
    """Make an id that sorts after those made before it, to the millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    # Version 7 and variant 10 of RFC 9562, section 5.7.
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return f"{prefix}_{_encode(value)}"


def uuid_of(identifier: str) -> uuid.UUID:
    """The UUID inside an id.

    Raises:
        ValueError: the text is not an id.
    """
    suffix = identifier.rpartition("_")[2]
    if len(suffix) != _SUFFIX_LENGTH or suffix[0] > "7":
        message = f"not an id: {identifier[:64]!r}"
        raise ValueError(message)
    value = 0
    for letter in suffix:
        digit = _DIGITS.get(letter)
        if digit is None:
            message = f"not an id: {identifier[:64]!r}"
            raise ValueError(message)
        value = (value << 5) | digit
    return uuid.UUID(int=value)


def _encode(value: int) -> str:
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 0x3FF] for shift in range(120, -1, -10)])
