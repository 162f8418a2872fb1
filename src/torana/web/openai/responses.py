"""`/v1/responses`: calls that may go on from earlier ones, and what is kept of them."""

from __future__ import annotations

from flask import Response, current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.web.calls import answer_call, call_context
from torana.web.endpoint import endpoint
from torana.web.openai.schemas import (
    CALL_ERRORS,
    DELETED_RESPONSE,
    RESPONSES_ANSWER,
    RESPONSES_BODY,
    STORED_RESPONSE,
    error_responses,
)
from torana.web.services import services

area = APIBlueprint("openai_responses", __name__, abp_tags=[{"name": "OpenAI API"}])


class ResponsePath(BaseModel):
    """The id of a stored response."""

    response_id: str


@endpoint(
    area,
    "POST",
    "/v1/responses",
    permission=Permission.CALL,
    summary="Create a response, as JSON or as a stream.",
    request_body=RESPONSES_BODY,
    responses={200: RESPONSES_ANSWER, **CALL_ERRORS},
)
def create_response() -> Response:
    """Stored unless `store` is false; `previous_response_id` goes on from a stored one."""
    return answer_call(OPENAI_RESPONSES)


@endpoint(
    area,
    "GET",
    "/v1/responses/<response_id>",
    permission=Permission.CALL,
    summary="Retrieve a stored response.",
    responses={200: STORED_RESPONSE, **error_responses(401, 403, 404, 502, 503, 504)},
    admits=False,
)
def retrieve_response(path: ResponsePath) -> Response:
    """Only responses of the caller's own project are found."""
    found = services(current_app).free_calls.get_response(
        path.response_id, call_context(OPENAI_RESPONSES)
    )
    return Response(found, content_type="application/json")


@endpoint(
    area,
    "DELETE",
    "/v1/responses/<response_id>",
    permission=Permission.CALL,
    summary="Delete a stored response.",
    responses={200: DELETED_RESPONSE, **error_responses(401, 403, 404, 502, 503, 504)},
    admits=False,
)
def delete_response(path: ResponsePath) -> Response:
    """It is forgotten here and at its provider; the ledger entry of the call stays."""
    deleted = services(current_app).free_calls.delete_response(
        path.response_id, call_context(OPENAI_RESPONSES)
    )
    return Response(deleted, content_type="application/json")
