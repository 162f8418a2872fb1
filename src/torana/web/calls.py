"""What every route of a call does around `InferenceService.answer`."""

from __future__ import annotations

import time
from typing import Any

from flask import Response, current_app, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import RequestEntityTooLarge

from torana.dialects.base import Dialect
from torana.errors import InvalidRequest, UnsupportedMediaType
from torana.inference.answers import JsonAnswer
from torana.inference.cache_terms import CACHE_HEADER, read_wish
from torana.inference.caller import CallContext, CallerLink, NoLink
from torana.web.endpoint import principal
from torana.web.labels import idempotency_key, is_strict, patience, region, tags, timeout
from torana.web.services import services

_FORWARDED = {"anthropic": ("anthropic-version", "anthropic-beta"), "openai": ()}
"""Headers by which a caller chooses among forms of a dialect, which its provider must see too."""
_MAX_HEADER = 1_000


def answer_call(dialect: Dialect) -> Response:
    """Answer the present request as a call in a dialect."""
    answer = services(current_app).inference.answer(dialect, json_body(), call_context(dialect))
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


def call_context(dialect: Dialect) -> CallContext:
    """Everything about the present request that is not in its body."""
    return CallContext(
        request_id=g.request_id,
        principal=principal(),
        received_at=time.monotonic(),
        link=_caller_link(),
        tries_before=_tries_before(),
        idempotency_key=idempotency_key(),
        tags=tags(),
        strict=is_strict(),
        forwarded=_forwarded(dialect),
        region=region(),
        timeout=timeout(),
        patience=patience(),
        cache=read_wish(request.headers.get(CACHE_HEADER)),
    )


def json_body() -> bytes:
    """The body of the present request.

    Raises:
        UnsupportedMediaType: it says that it is not JSON.
        InvalidRequest: it did not arrive whole.
    """
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


def _forwarded(dialect: Dialect) -> dict[str, str]:
    found = {}
    for name in _FORWARDED[dialect.family]:
        value = request.headers.get(name)
        if value is not None:
            if len(value) > _MAX_HEADER or not (value.isascii() and value.isprintable()):
                raise InvalidRequest(
                    f"The header {name} must have up to {_MAX_HEADER} printable characters."
                )
            found[name] = value
    return found
