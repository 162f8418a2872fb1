"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from typing import Any

from flask import Response, current_app, g, request
from flask_openapi.blueprint import APIBlueprint
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import RequestEntityTooLarge

from torana.auth.policy import Permission
from torana.errors import InvalidRequest, UnsupportedMediaType
from torana.inference.answers import JsonAnswer
from torana.inference.caller import CallContext, CallerLink, NoLink
from torana.web.endpoint import endpoint, principal
from torana.web.labels import idempotency_key, tags
from torana.web.openai.schemas import CHAT_ANSWER, CHAT_BODY, error_responses
from torana.web.services import services

area = APIBlueprint("openai_chat", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/chat/completions",
    permission=Permission.CALL,
    summary="Create a chat completion, as JSON or as a stream.",
    request_body=CHAT_BODY,
    responses={
        200: CHAT_ANSWER,
        **error_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504),
    },
)
def create_chat_completion() -> Response:
    """Unknown fields are passed on to the provider as they are."""
    context = CallContext(
        request_id=g.request_id,
        principal=principal(),
        received_at=time.monotonic(),
        link=_caller_link(),
        tries_before=_tries_before(),
        idempotency_key=idempotency_key(),
        tags=tags(),
    )
    answer = services(current_app).inference.chat(_json_body(), context)
    if isinstance(answer, JsonAnswer):
        return Response(answer.body, content_type="application/json", headers=answer.headers)
    response = Response(
        answer.frames,
        content_type="text/event-stream; charset=utf-8",
        headers={
            **answer.headers,
            "cache-control": "no-cache",
            # nginx would collect the stream otherwise.
            "x-accel-buffering": "no",
        },
        direct_passthrough=True,
    )
    return response  # noqa: RET504 -- named, because the stream outlives the view


def _json_body() -> bytes:
    if request.mimetype != "application/json" or request.headers.get("content-encoding"):
        raise UnsupportedMediaType(
            "The body must be JSON, sent as content-type application/json without an encoding."
        )
    try:
        data = request.get_data(cache=False)
    except (OSError, ParseException):
        # What gunicorn raises for chunks that are none, and for a caller who stops in the middle.
        raise InvalidRequest("The body could not be read to its end.") from None
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    # Of a chunked body werkzeug reads the allowed part and is silent about the rest.
    at_limit = request.content_length is None and len(data) >= limit
    if at_limit and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return data


def _caller_link() -> CallerLink:
    connection: Any = request.environ.get("gunicorn.socket")
    if connection is None:
        return NoLink()
    return services(current_app).hangups.link(connection.fileno())


def _tries_before() -> int:
    """How often the caller's SDK has sent this call before; OpenAI's and Anthropic's tell."""
    text = request.headers.get("x-stainless-retry-count", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
