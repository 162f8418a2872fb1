"""What is known of a call whose answer was kept from an earlier one. Pure."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import msgspec

from torana.inference.asking import Asked
from torana.inference.idempotency import StoredAnswer
from torana.routing.catalog import Target


def target_of(kept: StoredAnswer) -> Target:
    """Who has made an answer; it costs nothing now, so it has no price."""
    headers = kept.headers
    return Target(provider=headers["x-torana-provider"], model=unquote(headers["x-torana-model"]))


def revision_of(asked: Asked) -> str:
    """Changes with what makes an answer: after a change, none of before is given any more."""
    configs = []
    for target in asked.route.targets:
        found = asked.upstreams.providers.get(target.provider)
        if found is not None:
            config = found.config
            configs.append((config.name, config.kind, config.base_url, config.options))
    guards = None if asked.guards is None else asked.guards.revision
    return hashlib.sha256(msgspec.json.encode((asked.route, configs, guards))).hexdigest()
