"""`POST /v1/chat/completions`."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.web.calls import answer_call
from torana.web.endpoint import endpoint
from torana.web.openai.schemas import CALL_ERRORS, CHAT_ANSWER, CHAT_BODY

area = APIBlueprint("openai_chat", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/chat/completions",
    permission=Permission.CALL,
    summary="Create a chat completion, as JSON or as a stream.",
    request_body=CHAT_BODY,
    responses={200: CHAT_ANSWER, **CALL_ERRORS},
)
def create_chat_completion() -> Response:
    """Unknown fields are passed on to a provider of the same dialect as they are."""
    return answer_call(OPENAI_CHAT)
