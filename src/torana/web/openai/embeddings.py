"""`POST /v1/embeddings`."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.web.calls import answer_call
from torana.web.endpoint import endpoint
from torana.web.openai.schemas import CALL_ERRORS, EMBEDDINGS_ANSWER, EMBEDDINGS_BODY

area = APIBlueprint("openai_embeddings", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/embeddings",
    permission=Permission.CALL,
    summary="Embed texts.",
    request_body=EMBEDDINGS_BODY,
    responses={200: EMBEDDINGS_ANSWER, **CALL_ERRORS},
)
def create_embeddings() -> Response:
    """Texts or arrays of tokens, one or many; floats or base64."""
    return answer_call(OPENAI_EMBEDDINGS)
