"""OpenAI's bodies as far as our own description shows them; everything else passes through."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ErrorObject(BaseModel):
    """An error: all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every failing answer under /v1."""

    error: ErrorObject


def error_responses(*statuses: int) -> dict[int, Any]:
    """The failing answers of a route."""
    return dict.fromkeys(statuses, ErrorBody)


CALL_ERRORS = error_responses(400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504)
"""The failing answers of a call."""


def json_body(
    *, required: list[str], properties: dict[str, Any], example: dict[str, Any]
) -> dict[str, Any]:
    """A body that the view reads itself; other fields pass through."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": required,
                    "additionalProperties": True,
                    "properties": properties,
                },
                "example": example,
            }
        },
    }


def json_answer(description: str, *, streams: bool = False) -> dict[str, Any]:
    """An answer whose content is the provider's."""
    content: dict[str, Any] = {
        "application/json": {"schema": {"type": "object", "additionalProperties": True}}
    }
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": description, "content": content}


_MODEL = {"type": "string", "description": "A listed model, or provider/model."}
_STREAM = {"type": "boolean", "default": False}
_LIMIT = {"type": "integer", "minimum": 0}
_STREAM_OPTIONS = {"type": "object", "properties": {"include_usage": {"type": "boolean"}}}
_HELLO = "Say hello."

CHAT_BODY = json_body(
    required=["model", "messages"],
    properties={
        "model": _MODEL,
        "messages": {"type": "array", "items": {"type": "object"}},
        "stream": _STREAM,
        "stream_options": _STREAM_OPTIONS,
        "max_completion_tokens": _LIMIT,
        "max_tokens": _LIMIT,
        "n": {"type": "integer", "minimum": 1, "maximum": 128},
    },
    example={"model": "smollm2-135m", "messages": [{"role": "user", "content": _HELLO}]},
)
CHAT_ANSWER = json_answer("The model's completion, or its stream of chunks.", streams=True)

RESPONSES_BODY = json_body(
    required=["model"],
    properties={
        "model": _MODEL,
        "input": {"description": "A string, or an array of items."},
        "instructions": {"type": "string"},
        "previous_response_id": {"type": "string"},
        "store": {"type": "boolean", "default": True},
        "stream": _STREAM,
        "max_output_tokens": _LIMIT,
    },
    example={"model": "smollm2-135m", "input": _HELLO},
)
RESPONSES_ANSWER = json_answer("The response, or its stream of events.", streams=True)
STORED_RESPONSE = json_answer("The response as it was.")
DELETED_RESPONSE = json_answer("It is deleted.")

COMPLETION_BODY = json_body(
    required=["model", "prompt"],
    properties={
        "model": _MODEL,
        "prompt": {"description": "A string, an array of strings, or arrays of tokens."},
        "stream": _STREAM,
        "stream_options": _STREAM_OPTIONS,
        "max_tokens": _LIMIT,
        "n": {"type": "integer", "minimum": 1, "maximum": 128},
    },
    example={"model": "smollm2-135m", "prompt": "Once upon a time", "max_tokens": 20},
)
COMPLETION_ANSWER = json_answer("The completion, or its stream of chunks.", streams=True)

EMBEDDINGS_BODY = json_body(
    required=["model", "input"],
    properties={
        "model": _MODEL,
        "input": {"description": "A string, an array of strings, or arrays of tokens."},
        "encoding_format": {"type": "string", "enum": ["float", "base64"]},
        "dimensions": {"type": "integer", "minimum": 1},
    },
    example={"model": "text-embedding-3-small", "input": _HELLO},
)
EMBEDDINGS_ANSWER = json_answer("One embedding for each input.")
