"""`POST /v1/moderations`."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_moderations import OPENAI_MODERATIONS
from torana.web.endpoint import endpoint
from torana.web.openai.media_schemas import MODERATION_ANSWER, MODERATION_BODY
from torana.web.openai.schemas import CALL_ERRORS
from torana.web.uploads import answer_media

area = APIBlueprint("openai_moderations", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/moderations",
    permission=Permission.CALL,
    summary="Judge texts and images.",
    request_body=MODERATION_BODY,
    responses={200: MODERATION_ANSWER, **CALL_ERRORS},
)
def create_moderation() -> Response:
    """Without a `model` it is `omni-moderation-latest`."""
    return answer_media(OPENAI_MODERATIONS)
