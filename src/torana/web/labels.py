"""What callers say of a call in headers: their labels, and the name of this one call."""

from __future__ import annotations

from flask import request

from torana.errors import InvalidRequest

TAGS_HEADER = "x-torana-tags"
IDEMPOTENCY_HEADER = "idempotency-key"
STRICT_HEADER = "x-torana-strict"
REGION_HEADER = "x-torana-region"
TIMEOUT_HEADER = "x-torana-timeout"
_SDK_TIMEOUTS = ("x-stainless-read-timeout", "x-stainless-timeout")
"""Where OpenAI's and Anthropic's SDKs tell how long they wait for bytes."""
_MOST_SECONDS = 86_400.0
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


def region() -> str | None:
    """Where the caller wants its call answered, and nowhere else.

    Raises:
        InvalidRequest: it is too long or not printable.
    """
    name = request.headers.get(REGION_HEADER)
    if name is None:
        return None
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise InvalidRequest(
            f"{REGION_HEADER} must have 1 to {_MAX_NAME} printable characters.",
            param=REGION_HEADER,
        )
    return name


def timeout() -> float | None:
    """Seconds after which the caller wants its call ended.

    Raises:
        InvalidRequest: it is no number, or none that makes sense.
    """
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    seconds = _seconds(text)
    if seconds is None:
        raise InvalidRequest(
            f"{TIMEOUT_HEADER} must be seconds, more than 0 and at most {_MOST_SECONDS:.0f}.",
            param=TIMEOUT_HEADER,
        )
    return seconds


def patience() -> float | None:
    """Seconds after which the caller's SDK gives the call up, if it tells; nonsense counts not."""
    for name in _SDK_TIMEOUTS:
        text = request.headers.get(name)
        if text is not None:
            return _seconds(text)
    return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds <= _MOST_SECONDS else None
