"""`/v1/images`: images made from texts, and from other images."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_images import OPENAI_IMAGE_EDITS, OPENAI_IMAGES
from torana.web.endpoint import endpoint
from torana.web.openai.media_schemas import (
    IMAGE_BODY,
    IMAGE_EDIT_BODY,
    IMAGES_ANSWER,
)
from torana.web.openai.schemas import CALL_ERRORS
from torana.web.uploads import answer_media

area = APIBlueprint("openai_images", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/images/generations",
    permission=Permission.CALL,
    summary="Make images, as JSON or as a stream.",
    request_body=IMAGE_BODY,
    responses={200: IMAGES_ANSWER, **CALL_ERRORS},
)
def create_image() -> Response:
    """Passed on to a provider of the same dialect as it is."""
    return answer_media(OPENAI_IMAGES)


@endpoint(
    area,
    "POST",
    "/v1/images/edits",
    permission=Permission.CALL,
    summary="Make images from others, as JSON or as a stream.",
    request_body=IMAGE_EDIT_BODY,
    responses={200: IMAGES_ANSWER, **CALL_ERRORS},
)
def edit_image() -> Response:
    """A form with the images, or JSON that refers to them."""
    return answer_media(OPENAI_IMAGE_EDITS)
