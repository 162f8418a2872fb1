"""What the fake provider answers programs with: the steps of a conversation, in any dialect.

A conversation is told once, as steps; the path that the provider is called on decides in which
dialect a step is said, and the request whether as JSON or as a stream. Streams cut words and
arguments into small pieces.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.contract.fake_upstream import Turn

INPUT_TOKENS = 40
OUTPUT_TOKENS = 12
_CREATED = 1_700_000_000
_PIECE = 5

Events = Iterator[Mapping[str, Any]]


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    id: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Step:
    """One answer: words, or calls of tools, perhaps after some thinking."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    signature: str = "signature-9f2c"


@dataclass
class Conversation:
    """The script of a model: each request is answered by the next step."""

    steps: tuple[Step, ...]
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, turn: Turn) -> None:
        """Answer one request; a count of tokens is no step.

        Raises:
            AssertionError: there were more requests than steps, or on an unknown path.
        """
        path = turn.request.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            turn.reply({"input_tokens": INPUT_TOKENS})
            return
        with self._lock:
            number = next(self._numbers)
        assert number < len(self.steps), f"request {number + 1} on {path} was not expected"
        step = self.steps[number]
        if path == "/v1/chat/completions":
            say_chat(turn, step)
        elif path == "/v1/messages":
            say_message(turn, step)
        else:
            assert path == "/v1/responses", path
            say_response(turn, step)


def conversation(*steps: Step) -> Conversation:
    """A script that answers with these steps, one after another."""
    return Conversation(steps)


def pieces(text: str) -> list[str]:
    """A text in small pieces."""
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def send_events(turn: Turn, events: Events, *, named: bool) -> None:
    """Send a stream and its end; Anthropic and the Responses API name their events."""
    turn.begin_stream()
    for event in events:
        name = f"event: {event['type']}\n".encode() if named else b""
        frame = name + b"data: " + json.dumps(event).encode() + b"\n\n"
        turn.write(b"%x\r\n%b\r\n" % (len(frame), frame))
    if not named:
        turn.raw_event(b"[DONE]")
    turn.write(b"0\r\n\r\n")


# --- chat completions ----------------------------------------------------------------------------

_CHAT_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def say_chat(turn: Turn, step: Step) -> None:
    """Answer a chat completion."""
    head = {"id": "chatcmpl-program", "created": _CREATED, "model": turn.request.json()["model"]}
    finish = "tool_calls" if step.calls else "stop"
    if turn.wants_stream:
        events = chat_events(head, step, finish, usage=turn.wants_usage)
        send_events(turn, events, named=False)
        return
    message: dict[str, Any] = {"role": "assistant", "content": step.text or None, "refusal": None}
    if step.thinking:
        message["reasoning_content"] = step.thinking
    if step.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": chat_function(call)}
            for call in step.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}
    turn.reply(body)


def chat_function(call: Call) -> dict[str, str]:
    """What chat completions call a tool by."""
    return {"name": call.name, "arguments": call.text}


def chat_events(head: Mapping[str, Any], step: Step, finish: str, *, usage: bool) -> Events:
    """The chunks of a chat completion."""

    def chunk(delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        more = {"usage": None} if usage else {}
        return {**head, "object": "chat.completion.chunk", "choices": [choice], **more}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(step.thinking):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(step.text):
        yield chunk({"content": piece})
    for index, call in enumerate(step.calls):
        function = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": call.id, "type": "function", "function": function}
        yield chunk({"tool_calls": [first]})
        for piece in pieces(call.text):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, finish)
    if usage:
        yield {**chunk({}), "choices": [], "usage": _CHAT_USAGE}


# --- messages ------------------------------------------------------------------------------------

_MESSAGE_USAGE = {
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def say_message(turn: Turn, step: Step) -> None:
    """Answer with a message."""
    blocks = message_blocks(step)
    head = {
        "id": "msg_program",
        "type": "message",
        "role": "assistant",
        "model": turn.request.json()["model"],
        "stop_sequence": None,
    }
    reason = "tool_use" if step.calls else "end_turn"
    if turn.wants_stream:
        send_events(turn, message_events(head, blocks, reason), named=True)
        return
    turn.reply({**head, "content": blocks, "stop_reason": reason, "usage": _MESSAGE_USAGE})


def message_blocks(step: Step) -> list[dict[str, Any]]:
    """The content of a message."""
    blocks: list[dict[str, Any]] = []
    if step.thinking:
        thinking = {"thinking": step.thinking, "signature": step.signature}
        blocks.append({"type": "thinking", **thinking})
    if step.text:
        blocks.append({"type": "text", "text": step.text})
    calls = [{"id": call.id, "name": call.name, "input": call.arguments} for call in step.calls]
    return [*blocks, *({"type": "tool_use", **call} for call in calls)]


def message_events(head: Mapping[str, Any], blocks: list[dict[str, Any]], reason: str) -> Events:
    """The events of a message."""
    begun = {**_MESSAGE_USAGE, "output_tokens": 1}
    message = {**head, "content": [], "stop_reason": None, "usage": begun}
    yield {"type": "message_start", "message": message}
    yield {"type": "ping"}
    for index, block in enumerate(blocks):
        kind = block["type"]
        if kind == "tool_use":
            empty: dict[str, Any] = {"input": {}}
            text = json.dumps(block["input"], ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(text)]
        elif kind == "thinking":
            empty = {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            empty = {"text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": _MESSAGE_USAGE}
    yield {"type": "message_stop"}


# --- responses -----------------------------------------------------------------------------------

SEALED = "reasoning.encrypted_content"
_RESPONSE_USAGE = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def say_response(turn: Turn, step: Step) -> None:
    """Answer with a response."""
    asked = turn.request.json()
    items = response_items(step, sealed=SEALED in asked.get("include", ()))
    begun = {
        "id": "resp_program",
        "object": "response",
        "created_at": _CREATED,
        "model": asked["model"],
        "status": "in_progress",
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": asked.get("tools", []),
    }
    whole = {**begun, "status": "completed", "output": items, "usage": _RESPONSE_USAGE}
    if not turn.wants_stream:
        turn.reply(whole)
        return
    numbered = (
        {**event, "sequence_number": number}
        for number, event in enumerate(response_events(begun, whole, items))
    )
    send_events(turn, numbered, named=True)


def response_items(step: Step, *, sealed: bool) -> list[dict[str, Any]]:
    """The output of a response; the signature of a thought is there only for who asks for it."""
    items: list[dict[str, Any]] = []
    if step.thinking:
        summary = [{"type": "summary_text", "text": step.thinking}]
        seal = {"encrypted_content": step.signature} if sealed else {}
        items.append({"type": "reasoning", "id": "rs_program", "summary": summary, **seal})
    if step.text:
        part = {"type": "output_text", "text": step.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "type": "message",
                "id": "msg_program",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    calls = [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.text,
            "status": "completed",
        }
        for call in step.calls
    ]
    return [*items, *calls]


def response_events(
    begun: Mapping[str, Any], whole: Mapping[str, Any], items: list[dict[str, Any]]
) -> Events:
    """The events of a response, without their numbers."""
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(items):
        at = {"output_index": index}
        yield {"type": "response.output_item.added", **at, "item": begun_item(item)}
        yield from item_events({**at, "item_id": item["id"]}, item)
        yield {"type": "response.output_item.done", **at, "item": item}
    yield {"type": "response.completed", "response": whole}


def begun_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of a response before anything of it was said."""
    if item["type"] == "reasoning":
        seal = {"encrypted_content": "not yet"} if "encrypted_content" in item else {}
        return {**item, "summary": [], **seal}
    if item["type"] == "message":
        return {**item, "content": [], "status": "in_progress"}
    return {**item, "arguments": "", "status": "in_progress"}


def item_events(at: Mapping[str, Any], item: Mapping[str, Any]) -> Events:
    """What is said between an item's first event and its last."""
    if item["type"] == "reasoning":
        spot, kind, name = {**at, "summary_index": 0}, "response.reasoning_summary", "summary"
    elif item["type"] == "message":
        spot, kind, name = {**at, "content_index": 0}, "response.output", "content"
    else:
        kind = "response.function_call_arguments"
        for piece in pieces(item["arguments"]):
            yield {"type": f"{kind}.delta", **at, "delta": piece}
        yield {"type": f"{kind}.done", **at, "name": item["name"], "arguments": item["arguments"]}
        return
    (part,) = item[name]
    about = "response.reasoning_summary_part" if name == "summary" else "response.content_part"
    more: dict[str, Any] = {"logprobs": []} if name == "content" else {}
    yield {"type": f"{about}.added", **spot, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": f"{kind}_text.delta", **spot, "delta": piece, **more}
    yield {"type": f"{kind}_text.done", **spot, "text": part["text"], **more}
    yield {"type": f"{about}.done", **spot, "part": part}
