"""Anthropic's messages as the simulator writes them."""

from __future__ import annotations

import msgspec

from bench.sim.kinds import Kind, Usage, pieces


def message_json(kind: Kind, number: str) -> dict[str, object]:
    """A message."""
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": kind.model,
        "content": [{"type": "text", "text": "".join(pieces(kind)), "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _usage(kind.usage, kind.usage.output_tokens),
    }


def _usage(usage: Usage, output_tokens: int) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def message_frames(kind: Kind, number: str) -> list[list[bytes]]:
    """The named events of a message stream, grouped as they are paced."""

    def event(name: str, **data: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (
            name.encode(),
            msgspec.json.encode({"type": name, **data}),
        )

    first_tokens = min(1, kind.usage.output_tokens)
    message: dict[str, object] = message_json(kind, number) | {
        "content": [],
        "stop_reason": None,
        "usage": _usage(kind.usage, first_tokens),
    }
    groups = [
        [event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})]
        for piece in pieces(kind)
    ]
    groups[0][:0] = [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    groups[-1] += [
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage=_usage(kind.usage, kind.usage.output_tokens),
        ),
        event("message_stop"),
    ]
    return groups
