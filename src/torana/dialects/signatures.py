"""Envelopes in which a vendor's signature of thinking travels through another vendor's dialect.

A caller repeats an assistant's turns as it got them. A signature that its dialect has no place for
is written into the place of the dialect's own, in a form that is told apart on its way back:
`torana.<vendor>.<base64url of {"id": ..., "s": ...}>`. Envelopes are not secret and not trusted:
whoever writes one by hand only makes the vendor refuse the signature.
"""

from __future__ import annotations

import base64
import binascii
from typing import get_args

import msgspec

from torana.core.chat import Vendor

_PREFIX = "torana."
_VENDORS: frozenset[str] = frozenset(get_args(Vendor))


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None
    s: str


_decoder = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


def pack(vendor: Vendor, id: str | None, value: str) -> str:  # noqa: A002 -- the field's name.
    """An envelope.

    Args:
        vendor: who has signed.
        id: of the item, where the vendor's dialect has one.
        value: the signature, or the data that only the vendor can read.
    """
    inner = _encoder.encode(_Envelope(id, value))
    return f"{_PREFIX}{vendor}.{base64.urlsafe_b64encode(inner).rstrip(b'=').decode()}"


def unpack(text: str) -> tuple[Vendor, str | None, str] | None:
    """The vendor, id and value of an envelope; None for everything else, broken ones included."""
    if not text.startswith(_PREFIX):
        return None
    vendor, _, inner = text[len(_PREFIX) :].partition(".")
    if vendor not in _VENDORS:
        return None
    try:
        packed = base64.b64decode(inner + "=" * (-len(inner) % 4), altchars=b"-_", validate=True)
        found = _decoder.decode(packed)
    except (msgspec.DecodeError, UnicodeError, ValueError, binascii.Error):
        return None
    known: Vendor = "anthropic" if vendor == "anthropic" else "openai"
    return known, found.id, found.s
