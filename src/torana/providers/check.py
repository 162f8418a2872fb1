"""What a provider says when it is asked whether it is well, and which models it names."""

from __future__ import annotations

from typing import Any

import msgspec

from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamError, UpstreamGarbage

_MOST_MODELS = 5000
_LONGEST_NAME = 200


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider answered the question for its models.

    Attributes:
        ok: it was reached, and took the key.
        milliseconds: until the answer was read, or the failure known.
        status: the HTTP status; None when there was no answer.
        failure: what is wrong, when it is not well.
        models: names that it tells; None when it tells none.
    """

    ok: bool
    milliseconds: int
    status: int | None = None
    failure: UpstreamError | None = None
    models: tuple[str, ...] | None = None

    @property
    def error_code(self) -> str | None:
        """Of the error tree, when it is not well."""
        return None if self.failure is None else self.failure.code

    @property
    def message(self) -> str | None:
        """For people, when it is not well."""
        return None if self.failure is None else self.failure.public_message


def read_models(body: bytes) -> tuple[str, ...] | None:
    """The names in a list of models: OpenAI's object, a bare array, or objects with a `name`.

    Returns:
        None where an answer is no such list.

    Raises:
        UpstreamGarbage: it is not JSON, or an error under a success status.
    """
    try:
        parsed = msgspec.json.decode(body)
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's list of models is not JSON.") from error
    if isinstance(parsed, dict):
        if parsed.get("error"):
            raise UpstreamGarbage("The provider answered with an error under a success status.")
        parsed = parsed.get("data", parsed.get("models"))
    if not isinstance(parsed, list):
        return None
    names = (_name(item) for item in parsed[:_MOST_MODELS])
    return tuple(name for name in names if name is not None)


def _name(item: Any) -> str | None:
    if isinstance(item, dict):
        item = item.get("id") or item.get("name")
    return item[:_LONGEST_NAME] if isinstance(item, str) and item else None
