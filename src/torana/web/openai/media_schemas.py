"""Bodies of images, audio, moderations and rerankings, as our own description shows them."""

from __future__ import annotations

from typing import Any

from torana.web.openai.schemas import json_answer, json_body

_MODEL = {"type": "string", "description": "A listed model, or provider/model."}
_STREAM = {"type": "boolean", "default": False}
_FILE = {"type": "string", "format": "binary"}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 128}


def form_body(*, required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    """A form that the view reads itself; other fields pass through."""
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": required,
                    "additionalProperties": True,
                    "properties": properties,
                }
            }
        },
    }


def _with_types(answer: dict[str, Any], *types: str) -> dict[str, Any]:
    """An answer that may also be text or audio."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    plain = {"schema": {"type": "string"}}
    more = {kind: plain if kind.startswith("text/") else binary for kind in types}
    return {**answer, "content": {**answer["content"], **more}}


_IMAGE_FIELDS: dict[str, Any] = {
    "model": _MODEL,
    "prompt": {"type": "string"},
    "n": _COUNT,
    "size": {"type": "string", "description": "WIDTHxHEIGHT, or `auto`."},
    "quality": {"type": "string"},
    "stream": _STREAM,
    "partial_images": {"type": "integer", "minimum": 0, "maximum": 16},
}
IMAGE_BODY = json_body(
    required=["model", "prompt"],
    properties=_IMAGE_FIELDS,
    example={"model": "gpt-image-1", "prompt": "A gateway in front of a temple."},
)
_EDIT_JSON = json_body(
    required=["model", "prompt", "images"],
    properties={**_IMAGE_FIELDS, "images": {"type": "array", "items": {"type": "object"}}},
    example={
        "model": "gpt-image-1",
        "prompt": "Add a sunrise.",
        "images": [{"file_id": "file-1"}],
    },
)
_EDIT_FORM = form_body(
    required=["model", "prompt", "image"],
    properties={
        **_IMAGE_FIELDS,
        "image": {"description": "One file, or several as `image[]`.", **_FILE},
        "mask": _FILE,
    },
)
IMAGE_EDIT_BODY = {**_EDIT_FORM, "content": {**_EDIT_FORM["content"], **_EDIT_JSON["content"]}}
IMAGES_ANSWER = json_answer("The images, or the stream of their events.", streams=True)

SPEECH_BODY = json_body(
    required=["model", "input", "voice"],
    properties={
        "model": _MODEL,
        "input": {"type": "string"},
        "voice": {"description": "A name, or an object with an id."},
        "instructions": {"type": "string"},
        "response_format": {"type": "string"},
        "speed": {"type": "number", "minimum": 0.25},
        "stream_format": {"type": "string", "enum": ["sse", "audio"]},
    },
    example={"model": "gpt-4o-mini-tts", "input": "Good morning.", "voice": "alloy"},
)
SPEECH_ANSWER = {
    "description": "The audio as it comes, in the provider's own type, or its stream of events.",
    "content": {
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
        "text/event-stream": {"schema": {"type": "string"}},
    },
}

_LISTENING: dict[str, Any] = {
    "model": _MODEL,
    "file": _FILE,
    "prompt": {"type": "string"},
    "response_format": {
        "type": "string",
        "description": "`json`, `verbose_json`, `text`, `srt`, `vtt`.",
    },
    "temperature": {"type": "number"},
}
TRANSCRIPTION_BODY = form_body(
    required=["model", "file"],
    properties={**_LISTENING, "language": {"type": "string"}, "stream": _STREAM},
)
TRANSCRIPTION_ANSWER = _with_types(
    json_answer("What was said, or the stream of its events.", streams=True), "text/plain"
)
TRANSLATION_BODY = form_body(required=["model", "file"], properties=_LISTENING)
TRANSLATION_ANSWER = _with_types(json_answer("What was said, in English."), "text/plain")

MODERATION_BODY = json_body(
    required=["input"],
    properties={
        "model": {**_MODEL, "default": "omni-moderation-latest"},
        "input": {"description": "A string, an array of strings, or an array of parts."},
    },
    example={"input": "I love gateways."},
)
MODERATION_ANSWER = json_answer("A judgement for each input.")

RERANK_BODY = json_body(
    required=["model", "query", "documents"],
    properties={
        "model": _MODEL,
        "query": {"type": "string"},
        "documents": {"type": "array", "items": {"description": "A string, or an object."}},
        "top_n": {"type": "integer", "minimum": 1},
        "return_documents": {"type": "boolean"},
    },
    example={
        "model": "cohere/rerank-v3.5",
        "query": "What is a torana?",
        "documents": ["A gateway.", "A fish."],
    },
)
RERANK_ANSWER = json_answer("Indexes of documents with their scores, the best first.")
