"""Members of a request's objects that are not known: they are noted, and never passed over."""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.anthropic.content_blocks import Cache, known_members
from torana.dialects.losses import Losses
from torana.dialects.wire import BAD_JSON

CACHE = "cache_control"
_OF_CACHE = frozenset(Cache.__struct_fields__)


def note_rest(
    fields: dict[str, msgspec.Raw],
    name: str,
    kind: type[msgspec.Struct],
    unsaid: Losses,
    within: str = "",
) -> None:
    """Note what an object has beyond the fields of a type.

    Args:
        fields: which the object is one of.
        name: of the object.
        kind: the type.
        unsaid: where to note it.
        within: what the object is in, such as `output_config.`.

    Raises:
        InvalidRequest: it is no object.
    """
    given = wire.optional(fields, name, dict[str, msgspec.Raw]) or {}
    for key, value in given.items():
        if key not in kind.__struct_fields__ and bytes(value) != b"null":
            unsaid.add(f"{within}{name}.{key}")


def known_cache(
    members: dict[str, msgspec.Raw], unsaid: Losses, place: str
) -> dict[str, msgspec.Raw]:
    """Members of an object; its `cache_control` is without what is not known.

    Args:
        members: of the object.
        unsaid: where to note what is left out.
        place: what these names begin with.
    """
    raw = members.get(CACHE)
    if raw is None:
        return members
    try:
        return members | {CACHE: known_members(raw, _OF_CACHE, unsaid, place)}
    except BAD_JSON:
        return members  # Who reads it refuses it, and can say where it is.
