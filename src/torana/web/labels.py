"""What callers say of a call in headers: their labels, and the name of this one call."""

from __future__ import annotations

from flask import request

from torana.errors import InvalidRequest

TAGS_HEADER = "x-torana-tags"
IDEMPOTENCY_HEADER = "idempotency-key"
STRICT_HEADER = "x-torana-strict"
_MAX_TAGS = 16
_MAX_NAME = 64
_MAX_VALUE = 200
_MAX_KEY = 255


def tags() -> dict[str, str]:
    """The labels of `x-torana-tags: team=red,env=prod`.

    Raises:
        InvalidRequest: the header can't be read.
    """
    found: dict[str, str] = {}
    for part in request.headers.get(TAGS_HEADER, "").split(","):
        if not part.strip():
            continue
        name, equals, value = (text.strip() for text in part.partition("="))
        sound = equals and 0 < len(name) <= _MAX_NAME and 0 < len(value) <= _MAX_VALUE
        if not sound or not name.isprintable() or not value.isprintable():
            raise InvalidRequest(
                f"{TAGS_HEADER} must be like 'team=red,env=prod': names of up to {_MAX_NAME} and "
                f"values of up to {_MAX_VALUE} printable characters.",
                param=TAGS_HEADER,
            )
        found[name] = value
    if len(found) > _MAX_TAGS:
        raise InvalidRequest(f"{TAGS_HEADER} has more than {_MAX_TAGS} tags.", param=TAGS_HEADER)
    return found


def is_strict() -> bool:
    """Whether the caller would rather have an error than lose a field in translation.

    Raises:
        InvalidRequest: the header says neither yes nor no.
    """
    text = request.headers.get(STRICT_HEADER, "false").strip().lower()
    if text not in {"true", "false"}:
        raise InvalidRequest(f"{STRICT_HEADER} must be 'true' or 'false'.", param=STRICT_HEADER)
    return text == "true"


def idempotency_key() -> str | None:
    """The caller's name for this one call.

    Raises:
        InvalidRequest: it is too long or not printable.
    """
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= _MAX_KEY or not key.isprintable():
        raise InvalidRequest(
            f"{IDEMPOTENCY_HEADER} must have 1 to {_MAX_KEY} printable characters.",
            param=IDEMPOTENCY_HEADER,
        )
    return key
