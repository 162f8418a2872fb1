"""`POST /v1/completions`, OpenAI's older form."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.web.calls import answer_call
from torana.web.endpoint import endpoint
from torana.web.openai.schemas import CALL_ERRORS, COMPLETION_ANSWER, COMPLETION_BODY

area = APIBlueprint("openai_completions", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/completions",
    permission=Permission.CALL,
    summary="Complete a text, as JSON or as a stream.",
    request_body=COMPLETION_BODY,
    responses={200: COMPLETION_ANSWER, **CALL_ERRORS},
)
def create_completion() -> Response:
    """A model that only chats is asked with the prompt as a user's message."""
    return answer_call(OPENAI_COMPLETIONS)
