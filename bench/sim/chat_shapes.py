"""OpenAI's chat completions as the simulator writes them."""

from __future__ import annotations

import msgspec

from bench.sim.kinds import CREATED, Kind, Usage, pieces


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def chat_json(kind: Kind, number: str) -> dict[str, object]:
    """A chat completion."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(pieces(kind)),
        "refusal": None,
        "annotations": [],
    }
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": kind.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(kind.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }


def chat_frames(kind: Kind, number: str) -> list[list[bytes]]:
    """The events of a chat stream, grouped as they are paced: one group for each piece of text."""

    def event(choices: list[object], usage: object = None) -> bytes:
        chunk = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": kind.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
            "choices": choices,
        }
        if kind.include_usage:
            chunk["usage"] = usage
        return b"data: %b\n\n" % msgspec.json.encode(chunk)

    def choice(delta: dict[str, object], finish: str | None = None) -> list[object]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    groups = [[event(choice({"content": piece}))] for piece in pieces(kind)]
    groups[0].insert(0, event(choice({"role": "assistant", "content": "", "refusal": None})))
    groups[-1].append(event(choice({}, "stop")))
    if kind.include_usage:
        groups[-1].append(event([], _usage(kind.usage)))
    groups[-1].append(b"data: [DONE]\n\n")
    return groups
