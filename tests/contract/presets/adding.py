"""How the tests add a provider by its preset, and make the body of a call to it."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.fake_upstream import FakeUpstream
from tests.contract.presets.manners import KEY, base_url
from tests.contract.presets.servers import SERVERS
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.providers import Credential, Provider, ProviderConfig, build
from torana.providers.presets import PRESETS, fill


def added(name: str, upstream: FakeUpstream, secret: str = KEY) -> Provider:
    """A provider of a preset at a simulated server."""
    preset = PRESETS[name]
    url, options = fill(preset, base_url(upstream.url, preset.base_url))
    keys = () if SERVERS[name].key is None else (Credential(id="pkey_1", secret=secret),)
    config = ProviderConfig(
        name=f"my-{name}",
        kind=preset.kind,
        base_url=url,
        keys=keys,
        options=options,
        private=True,
    )
    return build(config)


def asked(provider: Provider, model: str, **more: Any) -> bytes:
    """The body of a call as the service makes it."""
    body = {"model": "alias", "messages": [{"role": "user", "content": "Hello"}], **more}
    request = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    return OPENAI_CHAT.encode_upstream(
        request, model=model, max_output_field=provider.max_output_field
    )
