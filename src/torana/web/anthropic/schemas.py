"""Anthropic's bodies as far as our own description shows them; everything else passes through."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from torana.web.openai.schemas import json_answer, json_body


class AnthropicErrorObject(BaseModel):
    """What went wrong."""

    type: str
    message: str


class AnthropicErrorBody(BaseModel):
    """The body of every failing answer under /v1/messages."""

    type: Literal["error"] = "error"
    error: AnthropicErrorObject
    request_id: str


CALL_ERRORS: dict[int, Any] = dict.fromkeys(
    (400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504), AnthropicErrorBody
) | {
    # A status of Anthropic's own: HTTP has no phrase for it.
    529: {
        "description": "Overloaded",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/AnthropicErrorBody"}}
        },
    }
}

_PROMPT: dict[str, Any] = {
    "model": {"type": "string", "description": "A listed model, or provider/model."},
    "messages": {"type": "array", "items": {"type": "object"}},
    "system": {"description": "A string, or an array of text blocks."},
    "tools": {"type": "array", "items": {"type": "object"}},
}

MESSAGE_BODY = json_body(
    required=["model", "messages", "max_tokens"],
    properties={
        **_PROMPT,
        "max_tokens": {"type": "integer", "minimum": 0},
        "stream": {"type": "boolean", "default": False},
    },
    example={
        "model": "smollm2-135m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Say hello."}],
    },
)
MESSAGE_ANSWER = json_answer("The model's message, or its stream of events.", streams=True)
COUNT_BODY = json_body(
    required=["model", "messages"],
    properties=_PROMPT,
    example={"model": "smollm2-135m", "messages": [{"role": "user", "content": "Say hello."}]},
)
COUNT_ANSWER = json_answer("The tokens of the prompt.")
