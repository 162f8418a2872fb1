"""What a provider's server wants otherwise than its kind does, as data.

Presets fill these in (`torana.providers.presets`), administrators may change them, and
`torana.providers.addressing` and `torana.providers.shaping` apply them. Nothing here knows a
provider by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

COSTLY_TO_DROP = frozenset(
    {
        "audio",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "reasoning",
        "reasoning_effort",
        "service_tier",
        "stop",
        "stream",
        "thinking",
    }
)
"""Fields without which a call could cost more than it was priced at, or would be another call."""

_HEADER = re.compile(r"[a-z0-9-]{1,64}")
_FIELD = re.compile(r"[a-z_0-9]+(\[\])?(\.[a-z_0-9]+(\[\])?)*")
_MOST_CHECK_SECONDS = 86_400
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a provider. Its representation, which may end up in a log, leaves the secret out.

    Attributes:
        id: of its row, or a word for one that comes from the settings.
        secret: the key itself.
    """

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential(id={self.id!r})"


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Differences from what servers of a kind do; presets fill them in.

    Attributes:
        max_output_field: what a chat completion's limit of output is called.
        key_header: the header that the key goes into, in lower case; None is as the kind does.
        key_scheme: the word before the key in `key_header`; empty for none.
        query: parameters that every request has.
        path: where a request goes under the base URL: `{path}` is the dialect's path, `{model}` the
            model's name in one segment.
        models_path: lists the models, under the base URL and without `path`.
        key_path: says whether a key is good, where anybody may list the models.
        dropped: request fields that its server refuses, as `user` or `messages[].name`.
        renamed: request fields that its server knows by another name.
        asks_usage: a stream is asked for its usage by `stream_options`; a server that refuses them
            must tell it unasked.
        developer_role: the role of messages that the caller gives as the developer's.
        keeps_alive: its connections can be used again.
        check_seconds: it is asked so often whether it is well; None leaves that to its calls.
    """

    max_output_field: str | None = None
    key_header: str | None = None
    key_scheme: str = ""
    query: tuple[tuple[str, str], ...] = ()
    path: str = "{path}"
    models_path: str = "/models"
    key_path: str | None = None
    dropped: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    asks_usage: bool = True
    developer_role: str | None = None
    keeps_alive: bool = True
    check_seconds: int | None = None

    def __post_init__(self) -> None:
        for problem in (*self._wrong_addresses(), *self._wrong_fields()):
            raise ValueError(problem)

    def _wrong_addresses(self) -> Iterator[str]:
        if self.key_header is not None and not _HEADER.fullmatch(self.key_header):
            yield "'key_header' must be a header's name in lower case"
        if "{path}" not in self.path or not self.path.startswith(("/", "{path}")):
            yield "'path' must be a path with '{path}' in it"
        for path in (self.models_path, self.key_path):
            if path is not None and not path.startswith("/"):
                yield f"{path!r} must start with '/'"

    def _wrong_fields(self) -> Iterator[str]:
        if self.check_seconds is not None and not 1 <= self.check_seconds <= _MOST_CHECK_SECONDS:
            yield f"'check_seconds' must be 1 to {_MOST_CHECK_SECONDS}"
        if self.max_output_field is not None and self.max_output_field not in _LIMITS:
            yield f"'max_output_field' must be one of {', '.join(sorted(_LIMITS))}"
        for name in self.dropped:
            if not _FIELD.fullmatch(name):
                yield f"'dropped' has {name!r}, which is no field"
            if name in COSTLY_TO_DROP:
                yield f"{name!r} can't be dropped: the call would cost more than it says"
        for old, new in self.renamed:
            # A limit must stay one, and nothing else may become a field that costs.
            if not {old, new} <= _LIMITS and {old, new} & COSTLY_TO_DROP:
                yield f"{old!r} can't be renamed to {new!r}"
