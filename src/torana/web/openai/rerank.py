"""`POST /v1/rerank`, in the form that Cohere and Jina have made."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.rerank import RERANK
from torana.web.endpoint import endpoint
from torana.web.openai.media_schemas import RERANK_ANSWER, RERANK_BODY
from torana.web.openai.schemas import CALL_ERRORS
from torana.web.uploads import answer_media

area = APIBlueprint("rerank", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/rerank",
    permission=Permission.CALL,
    summary="Order documents by their relevance to a query.",
    request_body=RERANK_BODY,
    responses={200: RERANK_ANSWER, **CALL_ERRORS},
)
def create_ranking() -> Response:
    """Providers that offer it: Cohere, Jina, Together, vLLM and others."""
    return answer_media(RERANK)
