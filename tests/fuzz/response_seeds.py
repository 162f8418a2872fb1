"""Valid requests of OpenAI's Responses."""

from __future__ import annotations

from typing import Any

from tests.fuzz.samples import PDF, PNG, SCHEMA

RESPONSES_PLAIN: dict[str, Any] = {"model": "m", "input": "hello", "max_output_tokens": 40}
RESPONSES_RICH: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Be kind."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {
                    "type": "input_image",
                    "image_url": f"data:image/png;base64,{PNG}",
                    "detail": "low",
                },
                {"type": "input_image", "file_id": "file-1", "detail": "auto"},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PDF}",
                },
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "ZGF0YQ==",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {
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
                },
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"city":"Bern"}',
            "status": "completed",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "18"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"},
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "a b"}],
        },
        {"type": "item_reference", "id": "msg_2"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "weather",
            "description": "of a city",
            "parameters": SCHEMA,
            "strict": True,
        },
        {"type": "custom", "name": "shell", "format": {"type": "text"}},
        {"type": "web_search", "search_context_size": "low"},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "weather"}],
    },
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {
        "format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    },
    "include": ["reasoning.encrypted_content"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_logprobs": 1,
    "truncation": "disabled",
    "user": "u-1",
    "safety_identifier": "s-1",
    "metadata": {"team": "red"},
    "service_tier": "auto",
    "store": False,
    "prompt_cache_key": "k",
    "max_output_tokens": 40,
    "max_tool_calls": 3,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
}
