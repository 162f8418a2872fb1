"""Model routes: a name that callers ask for, the targets behind it, and how they are used. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Strategy = Literal["priority", "weighted", "least_latency", "least_busy", "cheapest"]
STRATEGIES: tuple[Strategy, ...] = (
    "priority",
    "weighted",
    "least_latency",
    "least_busy",
    "cheapest",
)
DIALECTS = {
    "openai.chat.completions": "chat",
    "openai.responses": "responses",
    "openai.completions": "completions",
    "openai.embeddings": "embeddings",
    "anthropic.messages": "messages",
    "openai.images.generations": "images",
    "openai.images.edits": "image_edits",
    "openai.audio.speech": "speech",
    "openai.audio.transcriptions": "transcriptions",
    "openai.audio.translations": "translations",
    "openai.moderations": "moderations",
    "rerank": "rerank",
}
"""What conditions call the routes of callers, by `Dialect.route`."""
MOST_CACHE_SECONDS = 30 * 24 * 3600
CacheScope = Literal["project", "organisation", "instance"]


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions under which a target may answer a call; what is not said always holds.

    Attributes:
        dialects: routes that callers use (`chat`, `messages` ...), the values of `DIALECTS`.
        tools: whether the call offers tools.
        images: whether it has images.
        min_input_tokens, max_input_tokens: of its prompt, estimated at four bytes a token.
    """

    dialects: tuple[str, ...] = ()
    tools: bool | None = None
    images: bool | None = None
    min_input_tokens: int | None = None
    max_input_tokens: int | None = None


class RouteTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's model behind a route.

    Attributes:
        provider: its name.
        model: as the provider knows it.
        priority: lower ones are tried first; the strategy chooses among equals.
        weight: its share under `weighted`, and of the conversations of a sticky route.
        region: a tag that callers may demand.
        max_output: the most tokens that it may write, where that is less than the model can.
        when: conditions.
    """

    provider: str
    model: str
    priority: int = 1
    weight: int = 1
    region: str | None = None
    max_output: int | None = None
    when: When = When()


class Deadlines(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A route's own limits of time in seconds; None leaves those of the settings.

    Attributes:
        connect: to a provider.
        first_byte: from the connection to the status line.
        idle: between bytes of an answer.
        total: of a call with all its attempts.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None


class CacheTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a route's answers are kept for the same request, and for whom.

    Attributes:
        seconds: until they expire.
        scope: who shares them.
        max_bytes: larger answers are not kept.
    """

    seconds: int
    scope: CacheScope = "project"
    max_bytes: int = 1_048_576


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A name that callers may ask for, and what is behind it.

    Attributes:
        targets: at least one.
        strategy: how one of several targets of the same priority is chosen.
        sticky: calls of one conversation go to the same target while it is healthy, so that the
            provider's prompt cache pays.
        attempts: most attempts of a call, where that is not as the settings say.
        deadlines: limits of time.
        cache: keeps answers for everyone who may share them; None keeps none unless a call asks.
        disconnect: what happens to an answer whose caller has hung up; None is as the settings say.
    """

    name: str
    targets: tuple[RouteTarget, ...]
    strategy: Strategy = "priority"
    sticky: bool = False
    attempts: int | None = None
    deadlines: Deadlines = Deadlines()
    cache: CacheTerms | None = None
    disconnect: Literal["drain", "cancel"] | None = None


def single(name: str, provider: str, model: str, *, max_output: int | None = None) -> Route:
    """A route with one target."""
    target = RouteTarget(provider=provider, model=model, max_output=max_output)
    return Route(name=name, targets=(target,))
