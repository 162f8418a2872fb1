"""OpenAI's responses as the simulator writes them."""

from __future__ import annotations

import msgspec

from bench.sim.kinds import CREATED, Kind, pieces


def response_json(kind: Kind, number: str) -> dict[str, object]:
    """A response that is complete."""
    return _response(kind, number, "completed", [_message(kind, number)])


def response_frames(kind: Kind, number: str) -> list[list[bytes]]:
    """The named events of a response stream, grouped as they are paced."""
    count = 0

    def event(name: str, **data: object) -> bytes:
        nonlocal count
        data = {"type": name, "sequence_number": count, **data}
        count += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))

    item_id = f"msg_{number}"
    place = {"item_id": item_id, "output_index": 0, "content_index": 0}
    started = _message(kind, number) | {"status": "in_progress", "content": []}
    running = _response(kind, number, "in_progress", [])
    first = [
        event("response.created", response=running),
        event("response.in_progress", response=running),
        event("response.output_item.added", output_index=0, item=started),
        event("response.content_part.added", **place, part=_part("")),
    ]
    groups = [
        [event("response.output_text.delta", **place, delta=piece, logprobs=[])]
        for piece in pieces(kind)
    ]
    groups[0][:0] = first
    text = "".join(pieces(kind))
    groups[-1] += [
        event("response.output_text.done", **place, text=text, logprobs=[]),
        event("response.content_part.done", **place, part=_part(text)),
        event("response.output_item.done", output_index=0, item=_message(kind, number)),
        event("response.completed", response=response_json(kind, number)),
    ]
    return groups


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(kind: Kind, number: str) -> dict[str, object]:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_part("".join(pieces(kind)))],
    }


def _response(
    kind: Kind, number: str, status: str, output: list[dict[str, object]]
) -> dict[str, object]:
    usage = {
        "input_tokens": kind.usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": kind.usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(kind.usage),
    }
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": kind.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if status == "completed" else None,
        "metadata": {},
    }
