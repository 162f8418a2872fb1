"""`/api/models/health` and `.../explain`: how targets are, and where a call would go."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import orjson
from flask import current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from torana.auth.policy import Permission
from torana.auth.principal import Principal
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import InvalidJson, ModelNotAllowed
from torana.routing.catalog import Catalog
from torana.routing.health import TargetView
from torana.web.api.models import ModelPath
from torana.web.calls import call_context, json_body
from torana.web.endpoint import endpoint, principal
from torana.web.services import services

area = APIBlueprint("api_routes", __name__, abp_tags=[{"name": "Management"}])

DialectName = Literal["chat", "responses", "completions", "embeddings", "messages"]
_DIALECTS: dict[DialectName, Dialect] = {
    "chat": OPENAI_CHAT,
    "responses": OPENAI_RESPONSES,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
    "messages": ANTHROPIC,
}
_ANY_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "description": "A request of the dialect; its `model` is that of the path.",
            }
        }
    },
}


class TargetHealth(BaseModel):
    """A target as the answering process sees it."""

    provider: str
    model: str
    state: Annotated[
        Literal["closed", "open", "half_open", "cooling"],
        Field(
            description="Of its breaker: `closed` lets calls pass, `open` none, `half_open` one at "
            "a time; `cooling`: the provider asked for patience."
        ),
    ]
    wait_seconds: Annotated[float, Field(description="Until a call may pass again.")]
    reason: Annotated[str | None, Field(description="The error that closed it to calls.")]
    latency_ms: Annotated[int | None, Field(description="To the head of an answer, decayed.")]
    stream_latency_ms: int | None
    open_calls: int
    recent_failures: int
    recent_outcomes: int


class TargetsHealth(BaseModel):
    """Targets by name."""

    data: list[TargetHealth]


class ExplainQuery(BaseModel):
    """Which API the request is for."""

    dialect: DialectName = "chat"


class Candidate(BaseModel):
    """A target that the call may go to."""

    provider: str
    model: str
    priority: int
    weight: int
    score: Annotated[
        float | None, Field(description="What the strategy orders by, less first; null without.")
    ]
    reason: str
    state: str
    wait_seconds: float
    bound_usd: Annotated[
        str | None, Field(description="The most that the call can cost there; null if unknown.")
    ]
    dialect: Annotated[str, Field(description="In which the call goes there.")]
    lost: Annotated[list[str], Field(description="What of it can't be said in that.")]


class Skipped(BaseModel):
    """A target that the call does not go to."""

    provider: str
    model: str
    reason: str


class Explanation(BaseModel):
    """The plan of a call: `chosen` in the order in which they are asked."""

    route: str
    strategy: str
    sticky: bool
    chosen: list[Candidate]
    skipped: list[Skipped]


@endpoint(
    area,
    "GET",
    "/api/models/health",
    permission=Permission.READ_MODELS,
    summary="Show how the targets are.",
    responses={200: TargetsHealth},
    errors=(401, 503),
)
def read_health() -> TargetsHealth:
    """Those that routes lead to; an administrator also sees those that were called by name."""
    built = services(current_app)
    caller = principal()
    known = {(view.provider, view.model): view for view in built.health.all()}
    wanted = _targets(built.catalog(), caller)
    if Permission.MANAGE_MODELS in caller.permissions:
        wanted |= set(known)
    return TargetsHealth(data=[_health(*key, known.get(key)) for key in sorted(wanted)])


@endpoint(
    area,
    "POST",
    "/api/models/<path:name>/explain",
    permission=Permission.READ_MODELS,
    summary="Show where a call would go, and why.",
    responses={200: Explanation},
    errors=(400, 401, 403, 404, 415, 422, 503),
    request_body=_ANY_BODY,
)
def explain_route(path: ModelPath, query: ExplainQuery) -> Explanation:
    """Nothing is sent, reserved or charged. The caller's headers count as they would in a call."""
    if not principal().may_use(path.name):
        raise ModelNotAllowed(f"This credential may not use the model {path.name[:100]!r}.")
    dialect = _DIALECTS[query.dialect]
    body = _for_model(json_body(), path.name)
    found = services(current_app).inference.explain(dialect, body, call_context(dialect))
    return Explanation.model_validate(msgspec.to_builtins(found))


def _for_model(body: bytes, name: str) -> bytes:
    """The body, asking for the model of the path."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidJson("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise InvalidJson("The body must be a JSON object.")
    return orjson.dumps(fields | {"model": name})


def _targets(catalog: Catalog, caller: Principal) -> set[tuple[str, str]]:
    """What the routes lead to that the caller may use."""
    return {
        (target.provider, target.model)
        for name, route in catalog.routes.items()
        if caller.may_use(name)
        for target in route.targets
    }


def _health(provider: str, model: str, view: TargetView | None) -> TargetHealth:
    if view is None:  # It was not called lately.
        return TargetHealth(
            provider=provider,
            model=model,
            state="closed",
            wait_seconds=0,
            reason=None,
            latency_ms=None,
            stream_latency_ms=None,
            open_calls=0,
            recent_failures=0,
            recent_outcomes=0,
        )
    fields = msgspec.structs.asdict(view)
    return TargetHealth.model_validate(fields | {"wait_seconds": fields.pop("wait")})
