"""A request's body as a provider's server takes it: without fields that it refuses, with its names.

The call was priced before, from all of its fields. So nothing here may make it dearer:
`ProviderOptions` refuses to drop what would, and what is dropped is told to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from torana.dialects import wire
from torana.dialects.wire import BAD_JSON
from torana.providers.options import ProviderOptions

_Path = tuple[str, ...]
_NULL = b"null"
_EACH = "[]"


class Shaper:
    """Applies what a provider's options say of its requests' fields."""

    def __init__(self, options: ProviderOptions) -> None:
        self._dropped: dict[str, _Path] = {name: _path(name) for name in options.dropped}
        self._renamed = options.renamed
        self._role = options.developer_role
        self._asks_usage = options.asks_usage
        self._idle = self._asks_usage and not (self._dropped or self._renamed or self._role)

    def dropped(self, fields: Mapping[str, msgspec.Raw]) -> tuple[str, ...]:
        """Names of what would be left out of a request with these fields; null is nothing."""
        names = []
        for name, path in self._dropped.items():
            value = fields.get(path[0])
            if value is None or _is_nothing(value):
                continue
            if len(path) == 1 or _without(value, path[1:]) is not None:
                names.append(name)
        return tuple(names)

    def shape(self, body: bytes) -> bytes:
        """The body for the server; what is no JSON object is left alone.

        Raises:
            InvalidRequest: it is broken JSON, or has a field twice.
        """
        if self._idle or not body.startswith(b"{"):
            return body
        fields = wire.decode_fields(body)
        before = dict(fields)
        self._drop(fields)
        self._rename(fields)
        return body if fields == before else wire.encode_fields(fields)

    def _drop(self, fields: dict[str, msgspec.Raw]) -> None:
        if not self._asks_usage:
            fields.pop("stream_options", None)
        for name, *rest in self._dropped.values():
            value = fields.get(name)
            if value is None:
                continue
            if not rest:
                del fields[name]
                continue
            shorter = _without(value, tuple(rest))
            if shorter is not None:
                fields[name] = shorter

    def _rename(self, fields: dict[str, msgspec.Raw]) -> None:
        for old, new in self._renamed:
            if old in fields:
                value = fields.pop(old)
                # Of two names of one limit the price has taken the larger; either will do.
                if _is_nothing(fields.get(new)):
                    fields[new] = value
        if self._role is not None and "messages" in fields:
            fields["messages"] = _with_role(fields["messages"], self._role)


def _is_nothing(value: msgspec.Raw | None) -> bool:
    return value is None or bytes(value) == _NULL


def _path(name: str) -> _Path:
    """`messages[].name` as the steps to it."""
    return tuple(name.replace("[]", f".{_EACH}").split("."))


def _without(value: msgspec.Raw, path: _Path) -> msgspec.Raw | None:
    """A value without what is at a path in it; None where nothing is there."""
    if path[-1].encode() not in bytes(value):
        return None
    try:
        if path[0] == _EACH:
            return _each_without(msgspec.json.decode(value, type=list[msgspec.Raw]), path[1:])
        fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except BAD_JSON:
        return None  # Not of that shape: the server shall say so.
    found = fields.pop(path[0], None)
    if found is not None and len(path) > 1:
        found = _without(found, path[1:])
        if found is not None:
            fields[path[0]] = found
    return None if found is None else wire.raw(fields)


def _each_without(items: list[msgspec.Raw], path: _Path) -> msgspec.Raw | None:
    shorter = [_without(item, path) for item in items]
    if all(item is None for item in shorter):
        return None
    return wire.raw([new or old for new, old in zip(shorter, items, strict=True)])


def _with_role(messages: msgspec.Raw, role: str) -> msgspec.Raw:
    """Messages in which the developer speaks as another."""
    if b"developer" not in bytes(messages):
        return messages
    try:
        items = msgspec.json.decode(messages, type=list[dict[str, msgspec.Raw]])
    except BAD_JSON:
        return messages
    said = wire.raw(role)
    return wire.raw(
        [
            item | {"role": said} if bytes(item.get("role", b"")) == b'"developer"' else item
            for item in items
        ]
    )
