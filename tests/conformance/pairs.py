"""The pairs: who calls, who answers, and what a caller can read of what an upstream says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.conformance.said import Said
from tests.conformance.upstreams import chat, messages, responses
from tests.contract.fake_upstream import FakeUpstream, Script


@dataclass(frozen=True)
class Upstream:
    """A provider's dialect.

    Attributes:
        name: of the dialect.
        module: its goldens, and its reader of requests.
    """

    name: str
    module: Any


UPSTREAMS = {
    "chat": Upstream("chat", chat),
    "responses": Upstream("responses", responses),
    "messages": Upstream("messages", messages),
}


def reading(caller: str, upstream: str, said: Said) -> Said:
    """What a caller's reader must find of what an upstream said.

    Only what one dialect has no place for differs: Anthropic's has no part for a refusal's words,
    so they are text that ends with the stop reason `refusal`; what it explains beside them is the
    refusal of OpenAI's.
    """
    if "messages" in {caller, upstream} and said.refusal:
        explained = "" if caller == "messages" else messages.EXPLANATION
        return replace(said, text=said.refusal, refusal=explained)
    return said


def model_of(upstream: FakeUpstream, target: Upstream, script: Script) -> tuple[str, str]:
    """A model that nobody else uses: its name at the provider, and what callers ask for."""
    name = upstream.model(script)
    if target.name == "messages":
        name = upstream.model(script, exactly=name.replace("gpt", "claude"))
    return name, f"{target.name}/{name}"
