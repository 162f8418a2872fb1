"""Requests that are no conversations: the fields of their bodies that hold texts.

Embeddings, images, speech, moderations and reranking say what they have to say in few fields. Their
answers are no texts of a model, and are not looked at.
"""

from __future__ import annotations

from typing import Any

import msgspec

from torana.dialects.wire import WireRequest, optional, raw
from torana.guardrails.guarded import GuardedCalls, Rewrite

TEXT_FIELDS = ("input", "prompt", "query", "documents", "instructions")
_NOT_SAID = frozenset(("type", "image_url", "image", "url", "data", "file_id", "id", "input_audio"))
"""Members of objects that are no texts."""


def guard_fields(
    guards: GuardedCalls, request: WireRequest, names: tuple[str, ...] = TEXT_FIELDS
) -> WireRequest:
    """A request as its guardrails let it pass.

    Args:
        guards: of the call.
        request: as it was decoded.
        names: of the fields that hold texts, arrays of texts, or objects with texts.

    Returns:
        The request, the same object where nothing was changed.

    Raises:
        GuardrailBlocked: a guardrail does not let it pass, or can't read it: token ids.
        InvalidRequest: a field is not JSON that can be read.
        InternalError: a guardrail is broken.
    """
    given = {name: optional(request.fields, name, Any) for name in names if name in request.fields}
    for name, value in given.items():
        if _has_tokens(value):
            guards.refuse_unread(name)
    passed = guards.rewrite(
        lambda rewrite: {name: _rewritten(value, rewrite) for name, value in given.items()}
    )
    changed = {name: raw(value) for name, value in passed.items() if value != given[name]}
    if not changed:
        return request
    return msgspec.structs.replace(request, fields=request.fields | changed)


def _has_tokens(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(each, int) or (isinstance(each, list) and _has_tokens(each)) for each in value
    )


def _rewritten(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, list):
        return [_rewritten(each, rewrite) for each in value]
    if isinstance(value, dict):
        return {
            name: each if name in _NOT_SAID else _rewritten(each, rewrite)
            for name, each in value.items()
        }
    return value
