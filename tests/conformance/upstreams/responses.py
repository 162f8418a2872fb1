"""What OpenAI's Responses API sends, and what it reads in a request.

Shapes are those of `openai.types.responses`. Encrypted thinking comes only to those who ask for it
with `include`, as at OpenAI: whoever translates must ask.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.conformance import scenarios
from tests.conformance.said import Heard, Result, Said, Tokens, Tool
from tests.conformance.upstreams.chat import picture
from tests.conformance.upstreams.golden import Golden, Json, compact, frame, split

MODEL = "gpt-5-golden"
ENCRYPTED = "gAAAAABgoldenReasoningQ7s+/=_-ciphertext"
INCLUDE = "reasoning.encrypted_content"
ERROR = {
    "type": "error",
    "code": "server_error",
    "message": "The server had an error while processing your request.",
    "param": None,
}


def call_id(number: str) -> str:
    """An id as OpenAI makes them."""
    return f"call_Rq4Jt9h2bV6kX1sD8gPw3M{number}"


def usage(tokens: Tokens) -> Json:
    """Input and output include their parts."""
    return {
        "input_tokens": tokens.prompt,
        "input_tokens_details": {
            "cached_tokens": tokens.cached,
            "cache_write_tokens": tokens.written,
        },
        "output_tokens": tokens.answer,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.prompt + tokens.answer,
    }


def output(said: Said, request: Mapping[str, Any], turn: str) -> list[Json]:
    """The items of an answer; the message comes before the calls."""
    items: list[Json] = []
    status = "incomplete" if said.end == "length" else "completed"
    if said.thoughts:
        items.append(
            {
                "id": f"rs_golden{turn}",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": said.thoughts}],
                **(
                    {"encrypted_content": ENCRYPTED}
                    if INCLUDE in (request.get("include") or ())
                    else {}
                ),
            }
        )
    part: Json | None = None
    if said.refusal:
        part = {"type": "refusal", "refusal": said.refusal}
    elif said.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}
    if part is not None:
        items.append(
            {
                "id": f"msg_golden{turn}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [part],
            }
        )
    items += [
        {
            "id": f"fc_golden{turn}_{number}",
            "type": "function_call",
            "status": status,
            "arguments": compact(call.arguments),
            "call_id": call.id,
            "name": call.name,
        }
        for number, call in enumerate(said.calls)
    ]
    return items


def response(said: Said, request: Mapping[str, Any]) -> Json:
    """The whole answer; it repeats most of the request."""
    turn = str(answers_in(dict(request)))
    cut = said.end == "length"
    return {
        "id": f"resp_golden{turn}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": {},
        "model": MODEL,
        "output": output(said, request, turn),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": request.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if said.tokens is None else usage(said.tokens),
        "user": None,
    }


def item_events(index: int, item: Json) -> Iterator[Json]:
    """The events of one item."""
    place = {"item_id": item["id"], "output_index": index}
    seed = copy.deepcopy(item)
    if "status" in seed:
        seed["status"] = "in_progress"
    if item["type"] == "function_call":
        seed["arguments"] = ""
    else:
        seed["content" if item["type"] == "message" else "summary"] = []
    yield {"type": "response.output_item.added", "output_index": index, "item": seed}
    if item["type"] == "function_call":
        name = "response.function_call_arguments"
        for text in split(item["arguments"], (1, 3, 2, 5)):
            yield {"type": f"{name}.delta", **place, "delta": text, "obfuscation": "k3"}
        yield {"type": f"{name}.done", **place, "arguments": item["arguments"]}
    elif item["type"] == "reasoning":
        yield from _summary_events(item["summary"][0], {**place, "summary_index": 0})
    else:
        yield from _part_events(item["content"][0], {**place, "content_index": 0})
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _summary_events(part: Json, place: Json) -> Iterator[Json]:
    name = "response.reasoning_summary"
    yield {"type": f"{name}_part.added", **place, "part": {**part, "text": ""}}
    for text in split(part["text"]):
        yield {"type": f"{name}_text.delta", **place, "delta": text}
    yield {"type": f"{name}_text.done", **place, "text": part["text"]}
    yield {"type": f"{name}_part.done", **place, "part": part}


def _part_events(part: Json, place: Json) -> Iterator[Json]:
    field = "refusal" if part["type"] == "refusal" else "text"
    name = "response.refusal" if field == "refusal" else "response.output_text"
    logprobs: Json = {"logprobs": []} if field == "text" else {}
    yield {"type": "response.content_part.added", **place, "part": {**part, field: ""}}
    for text in split(part[field]):
        yield {"type": f"{name}.delta", **place, "delta": text, **logprobs, "obfuscation": "k3"}
    yield {"type": f"{name}.done", **place, field: part[field], **logprobs}
    yield {"type": "response.content_part.done", **place, "part": part}


def events(said: Said, request: Mapping[str, Any]) -> list[Json]:
    """The events of an answer, numbered."""
    whole = response(said, request)
    begun = {
        **whole,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
    }
    found: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(whole["output"]):
        found += item_events(index, item)
    if said.tokens is None:
        found = found[:-3]  # Text, part and item are still open.
    else:
        found.append({"type": f"response.{whole['status']}", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


def stream(said: Said, request: Mapping[str, Any]) -> bytes:
    """The frames of an answer."""
    return frames(events(said, request))


def frames(found: list[Json]) -> bytes:
    """The frames of events; every other one writes all that is not ASCII with escapes."""
    return b"".join(
        frame(event, event=event["type"], escaped=bool(number % 2))
        for number, event in enumerate(found)
    )


def golden(said: Said) -> Golden:
    """An answer that ends well."""
    said = replace(said, calls=tuple(replace(call, id=call_id(call.id)) for call in said.calls))
    return Golden(
        said=said,
        answer=lambda request: response(said, request),
        stream=lambda request: stream(said, request),
        seals=(ENCRYPTED,) if said.thoughts else (),
    )


def _broken(request: Mapping[str, Any]) -> bytes:
    said = scenarios.BROKEN.said[0]
    error = {**ERROR, "sequence_number": len(events(said, request))}
    return stream(said, request) + frame(error, event="error")


GOLDENS = {
    scenario.name: tuple(golden(said) for said in scenario.said) for scenario in scenarios.SCENARIOS
}
BROKEN = Golden(
    said=scenarios.BROKEN.said[0],
    answer=lambda _request: {
        "error": {
            "message": ERROR["message"],
            "type": "server_error",
            "param": None,
            "code": "server_error",
        }
    },
    status=500,
    stream=_broken,
)


# --- what was asked ----------------------------------------------------------------------------


def _items(request: Json) -> list[Json]:
    given = request["input"]
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given)


def answers_in(request: Json) -> int:
    """How many answers the history holds: each is followed by results or by a user's words."""
    answers, inside = 0, False
    for item in _items(request):
        ours = item.get("type") in {"reasoning", "function_call"} or (
            item.get("role") == "assistant"
        )
        answers += ours and not inside
        inside = ours
    return answers


def heard(request: Json) -> Heard:
    """Read a request as this provider would."""
    system = [request["instructions"]] if request.get("instructions") else []
    turns: list[tuple[str, Any]] = []
    seals: list[str] = []
    for item in _items(request):
        kind = item.get("type", "message")
        if kind == "reasoning":
            seals.append(item["encrypted_content"])
            assert item["id"].startswith("rs_")
        elif kind == "message" and item["role"] in {"system", "developer"}:
            system += [text for _kind, text in _parts(item["content"])]
        else:
            turns += _KINDS[kind](item)
    reasoning: Mapping[str, Any] = request.get("reasoning") or {}
    return Heard(
        system="\n".join(system),
        turns=tuple(turns),
        tools=tuple(
            Tool(name=tool["name"], description=tool["description"], schema=tool["parameters"])
            for tool in request.get("tools") or ()
        ),
        limit=request.get("max_output_tokens"),
        seals=tuple(seals),
        thinks=reasoning.get("effort") not in {None, "none"},
    )


def _message(item: Json) -> list[tuple[str, Any]]:
    parts = _parts(item["content"])
    if item["role"] == "assistant":
        return [("said", text) for _kind, text in parts]
    return parts


def _parts(content: Any) -> list[tuple[str, Any]]:
    if isinstance(content, str):
        return [("text", content)]
    parts: list[tuple[str, Any]] = []
    for part in content:
        if part["type"] == "input_image":
            parts.append(("image", picture(part["image_url"])))
        else:
            assert part["type"] in {"input_text", "output_text"}, part
            parts.append(("text", part["text"]))
    return parts


def _call(item: Json) -> list[tuple[str, Any]]:
    return [("call", (item["call_id"], item["name"], item["arguments"]))]


def _result(item: Json) -> list[tuple[str, Any]]:
    text = "".join(part for _kind, part in _parts(item["output"]))
    return [("result", Result(call_id=item["call_id"], text=text))]


_KINDS: dict[str, Callable[[Json], list[tuple[str, Any]]]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _result,
}
