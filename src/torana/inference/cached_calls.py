"""What is known of a call whose answer was kept from an earlier one. Pure."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import msgspec

from torana.inference.idempotency import StoredAnswer
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Target
from torana.routing.routes import Route


def target_of(kept: StoredAnswer) -> Target:
    """Who has made an answer; it costs nothing now, so it has no price."""
    headers = kept.headers
    return Target(provider=headers["x-torana-provider"], model=unquote(headers["x-torana-model"]))


def revision_of(route: Route, upstreams: Upstreams) -> str:
    """Changes with what makes an answer: after a change, none of before is given any more."""
    configs = []
    for target in route.targets:
        found = upstreams.providers.get(target.provider)
        if found is not None:
            config = found.config
            configs.append((config.name, config.kind, config.base_url, config.options))
    return hashlib.sha256(msgspec.json.encode((route, configs))).hexdigest()
