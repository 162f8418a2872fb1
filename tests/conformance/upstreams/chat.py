"""What a server with OpenAI's chat completions sends, and what it reads in a request.

Shapes are those of `openai.types.chat`; the details are what OpenAI and its look-alikes send:
`obfuscation`, `service_tier`, a role chunk, `usage: null` on every chunk when usage was asked for,
thinking as `reasoning_content` (without a signature), parallel calls whose fragments interleave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.conformance import scenarios
from tests.conformance.said import End, Heard, Picture, Result, Said, Tokens, Tool
from tests.conformance.upstreams.golden import Golden, Json, compact, frame, split

MODEL = "gpt-golden"
_FINISH: dict[End, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refusal": "stop",
}
ERROR = {
    "message": "The server had an error while processing your request.",
    "type": "server_error",
    "param": None,
    "code": None,
}


def call_id(number: str) -> str:
    """An id as OpenAI makes them."""
    return f"call_Zk3Tq8v1mN0pR5xYc7Lw2A{number}"


def usage(tokens: Tokens) -> Json:
    """Prompt and completion include their parts."""
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.answer,
        "total_tokens": tokens.prompt + tokens.answer,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cached,
            "audio_tokens": 0,
            "cache_write_tokens": tokens.written,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def answer(said: Said) -> Json:
    """The JSON answer."""
    message: Json = {
        "role": "assistant",
        "content": said.text or None,
        "refusal": said.refusal or None,
        "annotations": [],
    }
    if said.thoughts:
        message["reasoning_content"] = said.thoughts
    if said.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": compact(call.arguments)},
            }
            for call in said.calls
        ]
    assert said.tokens is not None
    return {
        "id": "chatcmpl-golden1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": _FINISH[said.end],
            }
        ],
        "usage": usage(said.tokens),
        "service_tier": "default",
        "system_fingerprint": "fp_golden",
    }


def deltas(said: Said) -> list[Json]:
    """What the chunks of an answer add, the first with the role."""
    found: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    if said.calls and not said.text:
        found[0]["content"] = None
    found += [{"reasoning_content": text} for text in split(said.thoughts)]
    found += [{"content": text} for text in split(said.text)]
    found += [{"refusal": text} for text in split(said.refusal)]
    fragments: list[list[Json]] = []
    for index, call in enumerate(said.calls):
        head = {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        found.append({"tool_calls": [head]})
        fragments.append(
            [
                {"index": index, "function": {"arguments": text}}
                for text in split(compact(call.arguments), (1, 3, 2, 5))
            ]
        )
    while any(fragments):  # The calls grow at the same time, two of them in one chunk.
        grown = [rest.pop(0) for rest in fragments if rest]
        found += [{"tool_calls": grown[:2]}] + [{"tool_calls": [one]} for one in grown[2:]]
    return found


def chunks(said: Said, request: Mapping[str, Any], added: list[Json] | None = None) -> list[Json]:
    """The chunks; with the usage only for those who have asked for it.

    Args:
        said: what they say.
        request: which they answer.
        added: what they add, in place of the deltas that say it.
    """
    told = bool((request.get("stream_options") or {}).get("include_usage"))
    head: Json = {
        "id": "chatcmpl-golden1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_golden",
    }
    if told:
        head["usage"] = None

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice], "obfuscation": "x7Qm"}

    found = [chunk(delta) for delta in (deltas(said) if added is None else added)]
    if said.tokens is None:
        return found
    found.append(chunk({}, _FINISH[said.end]))
    if told:
        found.append({**head, "choices": [], "usage": usage(said.tokens), "obfuscation": ""})
    return found


def stream(said: Said, request: Mapping[str, Any], added: list[Json] | None = None) -> bytes:
    """The frames; every other one writes all that is not ASCII with escapes."""
    frames = [
        frame(chunk, escaped=bool(number % 2))
        for number, chunk in enumerate(chunks(said, request, added))
    ]
    return b"".join(frames)


def golden(said: Said) -> Golden:
    """An answer that ends well."""
    said = replace(said, calls=tuple(replace(call, id=call_id(call.id)) for call in said.calls))
    return Golden(
        said=said,
        answer=lambda _request: answer(said),
        stream=lambda request: stream(said, request) + b"data: [DONE]\n\n",
        at_once=len(said.calls) > 1,
    )


GOLDENS = {
    scenario.name: tuple(golden(said) for said in scenario.said) for scenario in scenarios.SCENARIOS
}
BROKEN = Golden(
    said=scenarios.BROKEN.said[0],
    answer=lambda _request: {"error": ERROR},
    status=500,
    stream=lambda request: stream(scenarios.BROKEN.said[0], request) + frame({"error": ERROR}),
)


# --- what was asked ----------------------------------------------------------------------------


def answers_in(request: Json) -> int:
    """How many answers the history holds."""
    return sum(message["role"] == "assistant" for message in request["messages"])


def heard(request: Json) -> Heard:
    """Read a request as this provider would."""
    system, turns, seals = [], [], []
    for message in request["messages"]:
        read = _ROLES[message["role"]]
        if message["role"] in {"system", "developer"}:
            system += [part for _kind, part in _parts(message["content"])]
        else:
            turns += read(message)
        seals += [
            piece.get("signature") or piece.get("data")
            for piece in message.get("reasoning_details") or ()
        ]
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    stop = request.get("stop") or ()
    return Heard(
        system="\n".join(system),
        turns=tuple(turns),
        tools=tuple(_tool(tool) for tool in request.get("tools") or ()),
        limit=limit,
        seals=tuple(seals),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        thinks=request.get("reasoning_effort") not in {None, "none"},
    )


def _tool(tool: Json) -> Tool:
    assert tool["type"] == "function"
    function = tool["function"]
    return Tool(
        name=function["name"],
        description=function["description"],
        schema=function["parameters"],
    )


def _parts(content: Any) -> list[tuple[str, Any]]:
    if isinstance(content, str):
        return [("text", content)]
    return [_part(part) for part in content or ()]


def _part(part: Json) -> tuple[str, Any]:
    if part["type"] == "image_url":
        return ("image", picture(part["image_url"]["url"]))
    assert part["type"] == "text", part
    return ("text", part["text"])


def picture(url: str) -> Picture:
    """A picture from OpenAI's one field for both kinds."""
    if not url.startswith("data:"):
        return Picture(url=url)
    media_type, data = url.removeprefix("data:").split(";base64,")
    return Picture(media_type=media_type, data=data)


def _user(message: Json) -> list[tuple[str, Any]]:
    return _parts(message["content"])


def _assistant(message: Json) -> list[tuple[str, Any]]:
    said = [("said", text) for _kind, text in _parts(message.get("content")) if text]
    calls = [
        ("call", (call["id"], call["function"]["name"], call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    return [*said, *calls]


def _tool_result(message: Json) -> list[tuple[str, Any]]:
    text = "".join(part for _kind, part in _parts(message["content"]))
    return [("result", Result(call_id=message["tool_call_id"], text=text))]


_ROLES: dict[str, Callable[[Json], list[tuple[str, Any]]]] = {
    "system": _user,
    "developer": _user,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool_result,
}
