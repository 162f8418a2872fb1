"""The simulator's answers as bytes that are built once and reused, and the requests they answer.

An answer is the same for every call of a kind but for its number, so a template holds a
placeholder of the same length and a call costs one `bytes.replace`. Wire shapes follow OpenAI's
chat completions and Anthropic's messages; this module must not know about sockets or time.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from bench.sim.behaviour import Behaviour

Dialect = Literal["openai", "anthropic"]

CREATED = 1_767_225_600
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-5")
NUMBER_PLACEHOLDER = b"SIM-CALL-NUMBER-PLACEHLD"
WORDS = ("The simulator ", "answers with ", "the same few ", "words every time: ")
CACHED_TEMPLATES = 512


class StreamOptions(msgspec.Struct):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = False


class Ask(msgspec.Struct):
    """The few request fields that decide the answer; the others are skipped undecoded."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    # A union with None would be decoded; the text of `null` is what absence looks like.
    system: msgspec.Raw = msgspec.Raw(b"null")


class Usage(NamedTuple):
    """Token counts of one call."""

    input_tokens: int
    output_tokens: int


class Kind(NamedTuple):
    """What distinguishes one template from another."""

    dialect: Dialect
    model: str
    stream: bool
    include_usage: bool
    chunks: int
    usage: Usage


class Template(NamedTuple):
    """One answer: `frames` for a paced stream, `whole` when everything is written at once."""

    frames: tuple[bytes, ...]
    whole: bytes


def _text_bytes(value: Any) -> int:
    """Bytes of all text inside a message's content, whatever its nesting."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(_text_bytes(item) for item in value)
    if isinstance(value, dict):
        return _text_bytes(value.get("content")) + _text_bytes(value.get("text"))
    return 0


def bill(ask: Ask, behaviour: Behaviour) -> Usage:
    """The usage of a whole answer: fixed numbers, or numbers that follow from the request alone.

    Under `request` four bytes of text in the messages and the system prompt are one input token,
    rounded up, and the answer is as long as the request allows.
    """
    if behaviour.bill == "fixed":
        return Usage(behaviour.input_tokens, behaviour.fixed_output_tokens)
    size = sum(_text_bytes(msgspec.json.decode(part)) for part in (ask.messages, ask.system))
    wanted = ask.max_completion_tokens or ask.max_tokens or behaviour.fixed_output_tokens
    return Usage(-(-size // 4), wanted)


def http_head(status: str, headers: str, length: int | None) -> bytes:
    """A response head; without a `length` the body comes in chunks."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status}\r\n{headers}\r\n{framing}\r\n\r\n".encode()


def json_response(status: str, body: object) -> bytes:
    """A whole JSON answer outside the model routes."""
    content = msgspec.json.encode(body)
    return http_head(status, "content-type: application/json", len(content)) + content


class Answers:
    """Builds templates, and keeps the ones that were used."""

    def __init__(self) -> None:
        self._templates: dict[Kind, Template] = {}

    def template(self, kind: Kind) -> Template:
        """The template of a kind of answer; a stream of unseen kinds empties the store."""
        template = self._templates.get(kind)
        if template is None:
            if len(self._templates) >= CACHED_TEMPLATES:
                self._templates.clear()
            template = self._templates[kind] = _build(kind)
        return template


def _build(kind: Kind) -> Template:
    number = NUMBER_PLACEHOLDER.decode()
    if kind.dialect == "openai":
        request_id = f"x-request-id: req_{number}"
        body, frames = _openai_json, _openai_frames
    else:
        request_id = f"request-id: req_{number}"
        body, frames = _anthropic_json, _anthropic_frames
    if not kind.stream:
        content = msgspec.json.encode(body(kind, number))
        headers = f"content-type: application/json\r\n{request_id}"
        whole = http_head("200 OK", headers, len(content)) + content
        return Template((whole,), whole)
    headers = (
        f"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n{request_id}"
    )
    head, tail = http_head("200 OK", headers, None), b"0\r\n\r\n"
    groups = [b"".join(_chunked(event) for event in group) for group in frames(kind, number)]
    groups[0] = head + groups[0]
    groups[-1] += tail
    return Template(tuple(groups), b"".join(groups))


def _chunked(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _pieces(kind: Kind) -> list[str]:
    return [WORDS[index % len(WORDS)] for index in range(kind.chunks)]


def _openai_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _openai_json(kind: Kind, number: str) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(_pieces(kind)),
        "refusal": None,
        "annotations": [],
    }
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": kind.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _openai_usage(kind.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }


def _openai_frames(kind: Kind, number: str) -> list[list[bytes]]:
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

    groups = [[event(choice({"content": piece}))] for piece in _pieces(kind)]
    groups[0].insert(0, event(choice({"role": "assistant", "content": "", "refusal": None})))
    groups[-1].append(event(choice({}, "stop")))
    if kind.include_usage:
        groups[-1].append(event([], _openai_usage(kind.usage)))
    groups[-1].append(b"data: [DONE]\n\n")
    return groups


def _anthropic_json(kind: Kind, number: str) -> dict[str, object]:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": kind.model,
        "content": [{"type": "text", "text": "".join(_pieces(kind)), "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _anthropic_usage(kind.usage, kind.usage.output_tokens),
    }


def _anthropic_usage(usage: Usage, output_tokens: int) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _anthropic_frames(kind: Kind, number: str) -> list[list[bytes]]:
    """The named events of a message stream, grouped as they are paced."""

    def event(name: str, **data: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (
            name.encode(),
            msgspec.json.encode({"type": name, **data}),
        )

    first_tokens = min(1, kind.usage.output_tokens)
    message: dict[str, object] = _anthropic_json(kind, number) | {
        "content": [],
        "stop_reason": None,
        "usage": _anthropic_usage(kind.usage, first_tokens),
    }
    groups = [
        [event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})]
        for piece in _pieces(kind)
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
            usage=_anthropic_usage(kind.usage, kind.usage.output_tokens),
        ),
        event("message_stop"),
    ]
    return groups
