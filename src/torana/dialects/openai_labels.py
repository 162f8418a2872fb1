"""What a request of OpenAI's says of itself: for whom it is made, and the caller's labels."""

from __future__ import annotations

import msgspec

from torana.dialects.base import Labels
from torana.dialects.wire import BAD_JSON, WireRequest

_MAX_LABEL = 200
"""Longer texts are cut: what a column holds, and long enough to tell one from another."""
_MAX_LABEL_NAME = 64
_MAX_LABELS = 16


def labels_of(request: WireRequest) -> Labels:
    """For whom a request is made, and its labels."""
    return Labels(end_user_of(request), metadata_of(request))


def end_user_of(request: WireRequest) -> str | None:
    """The caller's own name for whom it calls for: `safety_identifier`, or the older `user`."""
    for name in ("safety_identifier", "user"):
        raw = request.fields.get(name)
        if raw is not None:
            text = short_text(raw)
            if text:
                return text
    return None


def metadata_of(request: WireRequest) -> dict[str, str]:
    """The caller's labels (`metadata`), as far as they are texts that a label can be."""
    raw = request.fields.get("metadata")
    if raw is None:
        return {}
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) or {}
    except BAD_JSON:
        return {}
    labels = {}
    for name, value in found.items():
        text = short_text(value)
        if text is not None and 0 < len(name) <= _MAX_LABEL_NAME and name.isprintable():
            labels[name] = text
        if len(labels) == _MAX_LABELS:
            break
    return labels


def short_text(raw: msgspec.Raw) -> str | None:
    """A short printable text; what is longer is cut, what is no text is None."""
    try:
        text = msgspec.json.decode(raw, type=str)
    except BAD_JSON:
        return None
    text = text[:_MAX_LABEL]
    return text if text.isprintable() else None
