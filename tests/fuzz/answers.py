"""Valid answers of every dialect's provider, whole and as streams, with all that Torana reads."""

from __future__ import annotations

from typing import Any

# --- OpenAI's chat ------------------------------------------------------------------------------

CHAT_USAGE: dict[str, Any] = {
    "prompt_tokens": 50,
    "completion_tokens": 20,
    "total_tokens": 70,
    "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
}
_CITED = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com",
        "title": "t",
        "start_index": 0,
        "end_index": 3,
    },
}
CHAT_ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Let me see.",
                "refusal": None,
                "reasoning_content": "hm",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "hm",
                        "signature": "c2ln",
                        "format": "unknown",
                        "index": 0,
                    }
                ],
                "annotations": [_CITED],
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
                    },
                    {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": CHAT_USAGE,
    "service_tier": "default",
    "system_fingerprint": "fp",
}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
    }


def _calls(*calls: dict[str, Any]) -> dict[str, Any]:
    return _chunk({"tool_calls": list(calls)})


CHAT_STREAM: list[Any] = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "h"}),
    _chunk({"reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]}),
    _chunk({"content": "Let me "}),
    _chunk({"content": "see.", "annotations": [_CITED]}),
    _calls(
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": ""},
        }
    ),
    _calls({"index": 0, "function": {"arguments": '{"city":'}}),
    _calls({"index": 0, "function": {"arguments": '"Bern"}'}}),
    _calls(
        {
            "index": 1,
            "id": "call_2",
            "type": "function",
            "function": {"name": "time", "arguments": "{}"},
        }
    ),
    _chunk({"refusal": "no"}),
    _chunk({}, "tool_calls"),
    {**_chunk({}), "choices": [], "usage": CHAT_USAGE},
]

# --- Anthropic's messages -----------------------------------------------------------------------

MESSAGE_USAGE: dict[str, Any] = {
    "input_tokens": 30,
    "cache_creation_input_tokens": 15,
    "cache_read_input_tokens": 10,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 5},
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 4},
    "server_tool_use": {"web_search_requests": 0},
    "service_tier": "standard",
}
_LOCATION = {
    "type": "char_location",
    "cited_text": "p",
    "document_index": 0,
    "document_title": "A",
    "start_char_index": 0,
    "end_char_index": 1,
}
_BLOCKS: list[Any] = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    {"type": "text", "text": "Let me see.", "citations": [_LOCATION]},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
    {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
]
MESSAGE_ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": _BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": MESSAGE_USAGE,
}


def _block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


MESSAGE_STREAM: list[Any] = [
    {
        "type": "message_start",
        "message": {
            **MESSAGE_ANSWER,
            "content": [],
            "stop_reason": None,
            "usage": {**MESSAGE_USAGE, "output_tokens": 1},
        },
    },
    {"type": "ping"},
    *_block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *_block(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
    *_block(
        2,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Let me "},
        {"type": "citations_delta", "citation": _LOCATION},
        {"type": "text_delta", "text": "see."},
    ),
    *_block(
        3,
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Bern"}'},
    ),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": MESSAGE_USAGE,
    },
    {"type": "message_stop"},
]

# --- OpenAI's responses -------------------------------------------------------------------------

RESPONSE_USAGE: dict[str, Any] = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 70,
}
_REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "ZGF0YQ==",
}
_PART = {
    "type": "output_text",
    "text": "Let me see.",
    "annotations": [
        {
            "type": "url_citation",
            "url": "https://example.com",
            "title": "t",
            "start_index": 0,
            "end_index": 3,
        }
    ],
    "logprobs": [],
}
_MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "role": "assistant",
    "content": [_PART, {"type": "refusal", "refusal": "no"}],
}
_CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Bern"}',
    "status": "completed",
}
_CUSTOM = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "sh",
    "input": "ls",
}
RESPONSE_ANSWER: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "m",
    "output": [
        _REASONING,
        _MESSAGE,
        _CALL,
        _CUSTOM,
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "service_tier": "default",
    "usage": RESPONSE_USAGE,
    "metadata": {},
}
_STARTED: dict[str, Any] = {
    **RESPONSE_ANSWER,
    "status": "in_progress",
    "output": [],
    "usage": None,
}


def _events() -> list[Any]:
    text = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    thought = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    call = {"item_id": "fc_1", "output_index": 2}
    custom = {"item_id": "ctc_1", "output_index": 3}
    summary = {"type": "summary_text", "text": ""}
    events: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": _STARTED}),
        ("in_progress", {"response": _STARTED}),
        ("output_item.added", {"output_index": 0, "item": {**_REASONING, "summary": []}}),
        ("reasoning_summary_part.added", {**thought, "part": summary}),
        ("reasoning_summary_text.delta", {**thought, "delta": "hm"}),
        ("reasoning_summary_text.done", {**thought, "text": "hm"}),
        ("reasoning_summary_part.done", {**thought, "part": {**summary, "text": "hm"}}),
        ("output_item.done", {"output_index": 0, "item": _REASONING}),
        ("output_item.added", {"output_index": 1, "item": {**_MESSAGE, "content": []}}),
        ("content_part.added", {**text, "part": {**_PART, "text": "", "annotations": []}}),
        ("output_text.delta", {**text, "delta": "Let me ", "logprobs": []}),
        ("output_text.delta", {**text, "delta": "see.", "logprobs": []}),
        (
            "output_text.annotation.added",
            {**text, "annotation_index": 0, "annotation": _PART["annotations"][0]},
        ),
        ("output_text.done", {**text, "text": "Let me see.", "logprobs": []}),
        ("content_part.done", {**text, "part": _PART}),
        ("refusal.delta", {**text, "content_index": 1, "delta": "no"}),
        ("output_item.done", {"output_index": 1, "item": _MESSAGE}),
        ("output_item.added", {"output_index": 2, "item": {**_CALL, "arguments": ""}}),
        ("function_call_arguments.delta", {**call, "delta": '{"city":'}),
        ("function_call_arguments.delta", {**call, "delta": '"Bern"}'}),
        ("function_call_arguments.done", {**call, "arguments": _CALL["arguments"]}),
        ("output_item.done", {"output_index": 2, "item": _CALL}),
        ("output_item.added", {"output_index": 3, "item": {**_CUSTOM, "input": ""}}),
        ("custom_tool_call_input.delta", {**custom, "delta": "ls"}),
        ("custom_tool_call_input.done", {**custom, "input": "ls"}),
        ("output_item.done", {"output_index": 3, "item": _CUSTOM}),
        ("completed", {"response": RESPONSE_ANSWER}),
    ]
    return [
        {"type": f"response.{name}", "sequence_number": number, **data}
        for number, (name, data) in enumerate(events)
    ]


RESPONSE_STREAM: list[Any] = _events()

# --- OpenAI's completions and embeddings --------------------------------------------------------

COMPLETION_ANSWER: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [{"index": 0, "text": "hello", "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
COMPLETION_STREAM: list[Any] = [
    *(
        {
            **COMPLETION_ANSWER,
            "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": None}],
            "usage": None,
        }
        for text in ("hel", "lo")
    ),
    {
        **COMPLETION_ANSWER,
        "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}],
        "usage": None,
    },
    {**COMPLETION_ANSWER, "choices": []},
]
EMBEDDING_ANSWER: dict[str, Any] = {
    "object": "list",
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
        {"object": "embedding", "index": 1, "embedding": "AAAAPwAAgL4="},
    ],
    "model": "m",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}

WHOLE: dict[str, dict[str, Any]] = {
    "chat": CHAT_ANSWER,
    "messages": MESSAGE_ANSWER,
    "responses": RESPONSE_ANSWER,
    "completions": COMPLETION_ANSWER,
    "embeddings": EMBEDDING_ANSWER,
}
STREAMS: dict[str, list[Any]] = {
    "chat": CHAT_STREAM,
    "messages": MESSAGE_STREAM,
    "responses": RESPONSE_STREAM,
    "completions": COMPLETION_STREAM,
}
ENDS_WITH_DONE = {"chat", "completions"}
NAMED = {"messages", "responses"}
"""Dialects whose frames have an `event` line."""


def frame(route: str, event: Any, data: bytes) -> bytes:
    """One frame of a stream with these bytes as its data."""
    name = event.get("type") if isinstance(event, dict) else None
    if route in NAMED and isinstance(name, str) and name.isascii() and name.isprintable():
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"data: %b\n\n" % data
