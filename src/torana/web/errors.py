"""Errors on their way out: the caller's dialect under `/v1`, else problem details (RFC 9457)."""

from __future__ import annotations

import json
import logging
import time
from http import HTTPStatus

import orjson
from flask import Response, current_app, g, request
from gunicorn.http.errors import ParseException
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.exceptions import MethodNotAllowed as WerkzeugMethodNotAllowed

from torana.core.clock import utc_now
from torana.dialects import anthropic_errors, openai_errors
from torana.errors import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    ToranaError,
    TranslationLoss,
    UnsupportedMediaType,
    ValidationFailed,
)
from torana.inference.answers import dropped_header
from torana.web.dialects import caller_family
from torana.web.endpoint import ToranaApp
from torana.web.services import services

logger = logging.getLogger("torana.web")

_PIECE = 65_536
_DISCARD_SECONDS = 2.0


def install(app: ToranaApp) -> None:
    """Let `app` answer every error in the caller's dialect."""
    app.register_error_handler(ToranaError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def validation_response(error: ValidationError) -> Response:
    """What a management route answers when a parameter breaks its schema."""
    problems = tuple(
        {"field": ".".join(str(part) for part in item["loc"]), "message": str(item["msg"])}
        for item in error.errors(include_url=False, include_input=False)
    )
    named = "; ".join(f"{item['field'] or 'request'}: {item['message']}" for item in problems)
    return _answer(ValidationFailed(f"The request is not valid: {named}.", problems=problems))


def render(error: ToranaError) -> Response:
    """The answer for an error, in the dialect of the request's path."""
    status, content_type = error.status, "application/json"
    is_anthropic = False
    body: dict[str, object]
    if not request.path.startswith("/v1/"):
        body, content_type = _problem(error), "application/problem+json"
    elif caller_family() == "anthropic":
        is_anthropic = True
        body = anthropic_errors.encode_error(error, g.get("request_id", ""))
        status = anthropic_errors.status_of(error)
    else:
        body = openai_errors.encode_error(error)
    response = Response(_json(body), status=status, content_type=content_type)
    if error.should_retry is not None:
        response.headers["x-should-retry"] = "true" if error.should_retry else "false"
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
        response.headers["retry-after-ms"] = str(round(error.retry_after * 1000))
    if isinstance(error, RateLimited) and error.rates is not None:
        response.headers.update(
            anthropic_errors.rate_headers(error.rates, utc_now())
            if is_anthropic
            else openai_errors.rate_headers(error.rates)
        )
    if isinstance(error, TranslationLoss):
        response.headers.update(dropped_header(error.names))
    if isinstance(error, MethodNotAllowed):
        response.headers["allow"] = ", ".join(error.allowed)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = 'Bearer realm="torana"'
    return response


def _json(body: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # A message repeats what the caller sent, and that may hold half a character.
        return json.dumps(body).encode()


def _problem(error: ToranaError) -> dict[str, object]:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.public_message,
        "code": error.public_code,
        "request_id": g.get("request_id", ""),
    }
    if isinstance(error, ValidationFailed):
        problem["errors"] = [dict(item) for item in error.problems]
    return problem


def _answer(error: ToranaError) -> Response:
    services(current_app).metrics.error(error.code)
    logger.log(
        error.log_level,
        "request.refused",
        extra={
            "request_id": g.get("request_id"),
            "method": request.method,
            "path": request.path[:200],
            "http_status": error.status,
            "error_code": error.code,
        },
    )
    return render(error)


def _answer_http(error: HTTPException) -> Response:
    """Werkzeug's own errors, told as ours."""
    if error.response is not None:  # What `abort(response)` raises: it is an answer already.
        return error.response  # type: ignore[return-value]
    return _answer(_translate(error))


def _translate(error: HTTPException) -> ToranaError:
    method, path = request.method, request.path[:200]
    if isinstance(error, WerkzeugMethodNotAllowed):
        allowed = tuple(sorted(error.valid_methods or ()))
        return MethodNotAllowed(
            f"{method} is not allowed on {path}; allowed: {', '.join(allowed)}.", allowed=allowed
        )
    if isinstance(error, RequestEntityTooLarge):
        limit = request.max_content_length or current_app.config["MAX_CONTENT_LENGTH"]
        _discard_body(limit)
        return BodyTooLarge(f"The body is larger than the {limit:,} bytes that are accepted here.")
    if error.code == 404:
        return NotFound(f"There is nothing at {path}.", hint="GET /docs shows what there is.")
    if error.code == 415:
        return UnsupportedMediaType("Send the body as content-type application/json.")
    if error.code is not None and 400 <= error.code < 500:
        return InvalidRequest(error.description or "The request is malformed.")
    return InternalError("Torana failed to answer.")


def _discard_body(limit: int) -> None:
    """Read what the caller is still sending, within bounds of size and time.

    A server that closes over unread bytes resets the connection and takes its own answer away.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return
    before = connection.gettimeout()
    connection.settimeout(_DISCARD_SECONDS)
    deadline = time.monotonic() + 2 * _DISCARD_SECONDS
    try:
        for _ in range(16 * limit // _PIECE + 4):
            if time.monotonic() > deadline or not request.environ["wsgi.input"].read(_PIECE):
                return
    except (OSError, ParseException):
        return  # The caller is slow, gone or talks nonsense; the answer is sent all the same.
    finally:
        connection.settimeout(before)


def _answer_unexpected(error: Exception) -> Response:
    logger.error("request.broken", extra={"request_id": g.get("request_id")}, exc_info=error)
    return _answer(InternalError("Torana failed to answer; the log has the request id."))
