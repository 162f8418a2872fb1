"""`/v1/audio`: texts that are read aloud, recordings that are written down or translated."""

from __future__ import annotations

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from torana.auth.policy import Permission
from torana.dialects.openai_audio import (
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from torana.web.endpoint import endpoint
from torana.web.openai.media_schemas import (
    SPEECH_ANSWER,
    SPEECH_BODY,
    TRANSCRIPTION_ANSWER,
    TRANSCRIPTION_BODY,
    TRANSLATION_ANSWER,
    TRANSLATION_BODY,
)
from torana.web.openai.schemas import CALL_ERRORS
from torana.web.uploads import answer_media

area = APIBlueprint("openai_audio", __name__, abp_tags=[{"name": "OpenAI API"}])


@endpoint(
    area,
    "POST",
    "/v1/audio/speech",
    permission=Permission.CALL,
    summary="Read a text aloud.",
    request_body=SPEECH_BODY,
    responses={200: SPEECH_ANSWER, **CALL_ERRORS},
)
def create_speech() -> Response:
    """The audio as it comes, or events with `stream_format` `sse`."""
    return answer_media(OPENAI_SPEECH)


@endpoint(
    area,
    "POST",
    "/v1/audio/transcriptions",
    permission=Permission.CALL,
    summary="Write a recording down.",
    request_body=TRANSCRIPTION_BODY,
    responses={200: TRANSCRIPTION_ANSWER, **CALL_ERRORS},
)
def create_transcription() -> Response:
    """JSON, plain text, subtitles, or a stream of events."""
    return answer_media(OPENAI_TRANSCRIPTIONS)


@endpoint(
    area,
    "POST",
    "/v1/audio/translations",
    permission=Permission.CALL,
    summary="Translate a recording into English.",
    request_body=TRANSLATION_BODY,
    responses={200: TRANSLATION_ANSWER, **CALL_ERRORS},
)
def create_translation() -> Response:
    """JSON, plain text or subtitles."""
    return answer_media(OPENAI_TRANSLATIONS)
