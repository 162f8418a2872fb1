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


CHAT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "messages"],
                "additionalProperties": True,
                "properties": {
                    "model": {
                        "type": "string",
                        "description": "A listed model, or provider/model.",
                    },
                    "messages": {"type": "array", "items": {"type": "object"}},
                    "stream": {"type": "boolean", "default": False},
                    "stream_options": {
                        "type": "object",
                        "properties": {"include_usage": {"type": "boolean"}},
                    },
                    "max_completion_tokens": {"type": "integer", "minimum": 0},
                    "max_tokens": {"type": "integer", "minimum": 0},
                    "n": {"type": "integer", "minimum": 1, "maximum": 128},
                },
            },
            "example": {
                "model": "smollm2-135m",
                "messages": [{"role": "user", "content": "Say hello."}],
            },
        }
    },
}

CHAT_ANSWER: dict[str, Any] = {
    "description": "The provider's completion, or its stream of chunks.",
    "content": {
        "application/json": {"schema": {"type": "object", "additionalProperties": True}},
        "text/event-stream": {"schema": {"type": "string"}},
    },
}
