"""Named events, as OpenAI's Responses stream them."""

from __future__ import annotations

from typing import Any

import msgspec

from torana.errors import ToranaError

PING = b": ping\n\n"
_encoder = msgspec.json.Encoder()


def encode_event(event: dict[str, Any]) -> bytes:
    """The frame of an event; its name is its type."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encoder.encode(event))


def encode_error(error: ToranaError, sequence_number: int) -> bytes:
    """An error after the first byte: flat, unlike the error object of a body."""
    return encode_event(
        {
            "type": "error",
            "code": error.public_code,
            "message": error.public_message,
            "param": error.param,
            "sequence_number": sequence_number,
        }
    )
