"""Which requests are the same: a keyed hash of all that an answer depends on. Pure.

Two requests that differ in anything that could change the answer have different keys. To leave a
field out is a promise that it never does, so hardly any is: what one provider takes for a label,
another may heed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from torana.auth.principal import Principal
from torana.dialects.wire import WireRequest
from torana.routing.routes import CacheScope

KEY_PURPOSE = "answer-cache-keys"
_NULL = b"null"
_ORDERED = frozenset(
    {"tools", "functions", "response_format", "text", "output_format", "output_config"}
)
"""Fields with JSON schemas: models answer in the order of a schema's properties."""
_LEFT_OUT = {
    # OpenAI's own prompt cache and the default of `store`: chat does not repeat them in answers.
    "openai.chat.completions": frozenset({"prompt_cache_key", "prompt_cache_retention", "store"}),
}


def cache_key(
    secret: bytes,
    request: WireRequest,
    *,
    route: str,
    scope: str,
    revision: str,
    forwarded: Mapping[str, str],
    strict: bool,
    region: str | None,
) -> str:
    """The name of a request's answer: 64 hexadecimal digits that tell nothing of the request.

    Args:
        secret: of this installation, for this purpose.
        request: as its caller sent it; one that `cache_fitness.may_be_kept` lets pass.
        route: the caller's dialect, see `Dialect.route`.
        scope: who shares the answer, see `scope_of`.
        revision: of the configuration of the model's route and its guardrails.
        forwarded: headers of the caller that its provider sees.
        strict: see `CallContext.strict`.
        region: see `CallContext.region`.
    """
    left_out = _LEFT_OUT.get(route, frozenset())
    parts = [
        scope,
        revision,
        route,
        f"stream={request.stream}",
        f"strict={strict}",
        f"region={region}",
        f"headers={len(forwarded)}",
    ]
    for name, value in sorted(forwarded.items()):
        parts += [name, value]
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    _add(digest, (part.encode() for part in parts))
    for name, raw in sorted(request.fields.items()):
        if name != "stream" and name not in left_out:
            _add(digest, (name.encode(), canonical(bytes(raw), ordered=name in _ORDERED)))
    return digest.hexdigest()


def scope_of(scope: CacheScope, principal: Principal) -> str:
    """Who shares an answer, by name: nobody else's calls have the same keys."""
    if scope == "instance":
        return "instance"
    if scope == "organisation":
        return f"organisation:{principal.organisation_id}"
    return f"project:{principal.project_id}"


def canonical(raw: bytes, *, ordered: bool = False) -> bytes:
    """A JSON value in a form that equal values share, and different ones never.

    The order of members and the escapes of texts do not count; numbers count as they are written,
    so that none loses a digit. What has no such form stands for itself as it came: a member that
    is there twice, half a character, a depth beyond all use.

    Args:
        raw: a JSON text.
        ordered: the order of members counts.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            message = "a member is there twice"
            raise ValueError(message)
        return {"members": pairs if ordered else sorted(pairs, key=_name_of)}

    try:
        # Objects and numbers become objects with one member each, so neither is taken for a text
        # or for the other.
        tree = json.loads(raw, object_pairs_hook=members, parse_int=_number, parse_float=_number)
        return b"value " + msgspec.json.encode(tree)
    except (ValueError, RecursionError):
        return b"text " + raw


def _number(text: str) -> dict[str, str]:
    return {"number": text}


def _name_of(pair: tuple[str, Any]) -> str:
    return pair[0]


def _add(digest: hmac.HMAC, parts: Iterable[bytes]) -> None:
    """Each part with its length, so that no two rows of parts read the same."""
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
