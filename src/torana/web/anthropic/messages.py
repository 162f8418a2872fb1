"""`POST /v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from flask import Response, current_app
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.anthropic import ANTHROPIC
from torana.web.anthropic.schemas import (
    CALL_ERRORS,
    COUNT_ANSWER,
    COUNT_BODY,
    MESSAGE_ANSWER,
    MESSAGE_BODY,
)
from torana.web.calls import answer_call, call_context, json_body
from torana.web.endpoint import endpoint
from torana.web.services import services

area = APIBlueprint("anthropic_messages", __name__, abp_tags=[{"name": "Anthropic API"}])
COUNT_HEADER = "x-torana-token-count"


@endpoint(
    area,
    "POST",
    "/v1/messages",
    permission=Permission.CALL,
    summary="Create a message, as JSON or as a stream.",
    request_body=MESSAGE_BODY,
    responses={200: MESSAGE_ANSWER, **CALL_ERRORS},
)
def create_message() -> Response:
    """Unknown fields are passed on to a provider of the same dialect as they are."""
    return answer_call(ANTHROPIC)


@endpoint(
    area,
    "POST",
    "/v1/messages/count_tokens",
    permission=Permission.CALL,
    summary="Count the tokens of a message's prompt.",
    request_body=COUNT_BODY,
    responses={200: COUNT_ANSWER, **CALL_ERRORS},
    admits=False,
)
def count_tokens() -> Response:
    """The provider's own count where it has one; else an estimate, and a header says so."""
    counted = services(current_app).free_calls.count_tokens(json_body(), call_context(ANTHROPIC))
    headers = {COUNT_HEADER: "estimated"} if counted.estimated else {}
    return Response(counted.body, content_type="application/json", headers=headers)
