"""Routes as the management API reads and tells them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from torana.routing.routes import CacheScope, CacheTerms, Deadlines, Route, RouteTarget, Strategy
from torana.routing.routes import When as TargetWhen
from torana.web.api.schemas import Instant

Seconds = Annotated[float | None, Field(gt=0, le=86_400, description="Null: as the settings say.")]
Tokens = Annotated[int | None, Field(ge=0, description="Of the prompt, estimated.")]


class When(BaseModel):
    """Conditions under which a target may answer; what is null or empty always holds."""

    model_config = ConfigDict(extra="forbid")

    dialects: Annotated[
        list[str], Field(max_length=20, description="`chat`, `responses`, `messages` and so on.")
    ] = []
    tools: Annotated[bool | None, Field(description="Only calls with, or without, tools.")] = None
    images: Annotated[bool | None, Field(description="Only calls with, or without, images.")] = None
    min_input_tokens: Tokens = None
    max_input_tokens: Tokens = None


class RouteTargetBody(BaseModel):
    """A provider's model behind a route."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(max_length=64)]
    model: Annotated[str, Field(max_length=200, description="As the provider knows it.")]
    priority: Annotated[int, Field(description="0 to 100; lower ones are asked first.")] = 1
    weight: Annotated[int, Field(description="0 to 1000; its share, and 0 for none.")] = 1
    region: Annotated[str | None, Field(max_length=64, description="Callers may demand it.")] = None
    max_output: Annotated[int | None, Field(description="The most tokens that it writes.")] = None
    when: When = When()


class RouteDeadlines(BaseModel):
    """A route's own limits of time in seconds."""

    model_config = ConfigDict(extra="forbid")

    connect: Seconds = None
    first_byte: Seconds = None
    idle: Seconds = None
    total: Seconds = None


class RouteCache(BaseModel):
    """How long answers are kept for the same request, and who shares them."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[int, Field(description="1 to 2592000 (30 days).")]
    scope: CacheScope = "project"
    max_bytes: Annotated[int, Field(description="Larger answers are not kept.")] = 262_144


class RouteBody(BaseModel):
    """What shall be behind a model's name; what is left out is as its default says."""

    model_config = ConfigDict(extra="forbid")

    targets: Annotated[list[RouteTargetBody], Field(min_length=1, max_length=100)]
    strategy: Annotated[
        Strategy, Field(description="Which of the targets of one priority is asked first.")
    ] = "priority"
    sticky: Annotated[bool, Field(description="A conversation stays at one target.")] = False
    attempts: Annotated[int | None, Field(description="Most attempts of a call, 1 to 10.")] = None
    deadlines: RouteDeadlines = RouteDeadlines()
    cache: RouteCache | None = None
    disconnect: Annotated[
        Literal["drain", "cancel"] | None,
        Field(description="What becomes of an answer whose caller has hung up."),
    ] = None
    enabled: bool = True


class RouteRow(RouteBody):
    """A route as it is kept."""

    id: str | None
    name: str
    built_in: bool
    created_at: Instant | None
    updated_at: Instant | None


def route_of(name: str, body: RouteBody) -> Route:
    """The route that a body describes; its rules are checked when it is put."""
    terms: dict[str, Any] = body.model_dump()
    return Route(
        name=name,
        targets=tuple(_target(target) for target in terms["targets"]),
        strategy=body.strategy,
        sticky=body.sticky,
        attempts=body.attempts,
        deadlines=Deadlines(**terms["deadlines"]),
        cache=None if body.cache is None else CacheTerms(**terms["cache"]),
        disconnect=body.disconnect,
    )


def _target(said: dict[str, Any]) -> RouteTarget:
    when = said.pop("when")
    return RouteTarget(
        **said, when=msgspec.structs.replace(TargetWhen(**when), dialects=tuple(when["dialects"]))
    )
