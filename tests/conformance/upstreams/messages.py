"""What Anthropic's Messages API sends, and what it reads in a request.

Shapes are those of `anthropic.types`; the details are what Anthropic sends: pings anywhere, usage in
`message_start` and cumulative in `message_delta`, an empty first `partial_json`, a signature just
before the end of its block, hidden thinking whole in the start of its block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.conformance import scenarios
from tests.conformance.said import End, Heard, Picture, Result, Said, Tokens, Tool
from tests.conformance.upstreams.golden import Golden, Json, compact, frame, split

MODEL = "claude-golden"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds+/=="
HIDDEN = "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP=="
EXPLANATION = "It may do harm."
_STOP: dict[End, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
    "refusal": "refusal",
}
ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_golden",
}
PING = {"type": "ping"}


def call_id(number: str) -> str:
    """An id as Anthropic makes them."""
    return f"toolu_01A09q90qw90lq917835lq{number}"


def usage(tokens: Tokens) -> Json:
    """The classes of input stand beside each other; output includes the thinking."""
    return {
        "input_tokens": tokens.plain,
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.written,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": tokens.answer,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }


def content(said: Said) -> list[Json]:
    """The blocks of an answer."""
    blocks: list[Json] = []
    if said.thoughts:
        blocks.append({"type": "thinking", "thinking": said.thoughts, "signature": SIGNATURE})
    if said.hidden:
        blocks.append({"type": "redacted_thinking", "data": HIDDEN})
    if said.text or said.refusal:
        blocks.append({"type": "text", "text": said.text or said.refusal})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in said.calls
    ]
    return blocks


def _details(said: Said) -> Json | None:
    if said.end != "refusal":
        return None
    return {"type": "refusal", "category": "cyber", "explanation": EXPLANATION}


def answer(said: Said, blocks: list[Json] | None = None) -> Json:
    """The JSON answer; with other blocks than those that say it."""
    assert said.tokens is not None
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content(said) if blocks is None else blocks,
        "stop_reason": _STOP[said.end],
        "stop_sequence": "END" if said.end == "stop_sequence" else None,
        "stop_details": _details(said),
        "usage": usage(said.tokens),
    }


def block_events(index: int, block: Json) -> list[Json]:
    """The events of one block."""
    kind = block["type"]
    seed, grown = dict(block), list[Json]()
    if kind == "text":
        seed["text"] = ""
        grown = [{"type": "text_delta", "text": text} for text in split(block["text"])]
    elif kind == "thinking":
        seed |= {"thinking": "", "signature": ""}
        grown = [{"type": "thinking_delta", "thinking": text} for text in split(block["thinking"])]
        grown.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind == "tool_use":
        seed["input"] = {}
        texts = ["", *split(compact(block["input"]), (1, 3, 2, 5))] if block["input"] else [""]
        grown = [{"type": "input_json_delta", "partial_json": text} for text in texts]
    return [
        {"type": "content_block_start", "index": index, "content_block": seed},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in grown),
        {"type": "content_block_stop", "index": index},
    ]


def events(said: Said, blocks: list[Json] | None = None) -> list[Json]:
    """The events of an answer, in their order; with other blocks than those that say it."""
    tokens = said.tokens or Tokens()
    begun = {
        **answer(replace(said, tokens=tokens)),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage(tokens), "output_tokens": 1, "output_tokens_details": None},
    }
    found: list[Json] = [{"type": "message_start", "message": begun}, PING]
    for index, block in enumerate(content(said) if blocks is None else blocks):
        inside = block_events(index, block)
        found += [*inside[:2], PING, *inside[2:]]
    if said.tokens is None:
        return found[:-1]  # The block is still open.
    told = usage(tokens)
    del told["cache_creation"], told["service_tier"]
    delta = {
        "stop_reason": _STOP[said.end],
        "stop_sequence": "END" if said.end == "stop_sequence" else None,
        "stop_details": _details(said),
    }
    found.append({"type": "message_delta", "delta": delta, "usage": told})
    found.append({"type": "message_stop"})
    return found


def stream(said: Said, blocks: list[Json] | None = None) -> bytes:
    """The frames of an answer."""
    return frames(events(said, blocks))


def frames(found: list[Json]) -> bytes:
    """The frames of events; every other one writes all that is not ASCII with escapes."""
    return b"".join(
        frame(event, event=event["type"], escaped=bool(number % 2))
        for number, event in enumerate(found)
    )


def golden(said: Said) -> Golden:
    """An answer that ends well; where it thinks, a part of that is hidden."""
    said = replace(
        said,
        calls=tuple(replace(call, id=call_id(call.id)) for call in said.calls),
        hidden=1 if said.thoughts else 0,
    )
    return Golden(
        said=said,
        answer=lambda _request: answer(said),
        stream=lambda _request: stream(said),
        seals=(SIGNATURE, HIDDEN) if said.thoughts else (),
    )


GOLDENS = {
    scenario.name: tuple(golden(said) for said in scenario.said) for scenario in scenarios.SCENARIOS
}
BROKEN = Golden(
    said=scenarios.BROKEN.said[0],
    answer=lambda _request: ERROR,
    status=529,
    stream=lambda _request: stream(scenarios.BROKEN.said[0]) + frame(ERROR, event="error"),
)


# --- what was asked ----------------------------------------------------------------------------


def answers_in(request: Json) -> int:
    """How many answers the history holds."""
    return sum(message["role"] == "assistant" for message in request["messages"])


def heard(request: Json) -> Heard:
    """Read a request as this provider would."""
    turns: list[tuple[str, Any]] = []
    seals: list[str] = []
    system = [text for _kind, text in _parts(request.get("system") or [], seals)]
    for message in request["messages"]:
        parts = _parts(message["content"], seals)
        if message["role"] == "assistant":
            parts = [("said" if kind == "text" else kind, value) for kind, value in parts]
        turns += parts
    thinking: Mapping[str, Any] = request.get("thinking") or {}
    return Heard(
        system="\n".join(system),
        turns=tuple(turns),
        tools=tuple(
            Tool(name=tool["name"], description=tool["description"], schema=tool["input_schema"])
            for tool in request.get("tools") or ()
        ),
        limit=request["max_tokens"],
        seals=tuple(seals),
        stop=tuple(request.get("stop_sequences") or ()),
        thinks=thinking.get("type") in {"enabled", "adaptive"},
    )


def _parts(found: Any, seals: list[str]) -> list[tuple[str, Any]]:
    if isinstance(found, str):
        return [("text", found)]
    parts: list[tuple[str, Any]] = []
    for block in found:
        kind = block["type"]
        if kind == "text":
            parts.append(("text", block["text"]))
        elif kind == "image":
            parts.append(("image", _picture(block["source"])))
        elif kind == "tool_use":
            parts.append(("call", (block["id"], block["name"], compact(block["input"]))))
        elif kind == "tool_result":
            parts.append(("result", _result(block)))
        elif kind == "thinking":
            seals.append(block["signature"])
            assert set(block) == {"type", "thinking", "signature"}
        else:
            assert kind == "redacted_thinking", block
            seals.append(block["data"])
    return parts


def _picture(source: Json) -> Picture:
    if source["type"] == "url":
        return Picture(url=source["url"])
    assert source["type"] == "base64", source
    return Picture(media_type=source["media_type"], data=source["data"])


def _result(block: Json) -> Result:
    text = "".join(part for _kind, part in _parts(block.get("content") or [], []))
    failed = bool(block.get("is_error"))
    return Result(call_id=block["tool_use_id"], text=text, failed=failed)
