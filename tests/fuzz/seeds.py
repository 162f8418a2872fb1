"""Valid requests of every dialect, with as many kinds of fields as one body can hold.

They are what the mutations begin with: each has every kind of part, tool and option that Torana
reads, so that a mutation can reach every reader.
"""

from __future__ import annotations

from typing import Any

from tests.fuzz.response_seeds import RESPONSES_PLAIN, RESPONSES_RICH
from tests.fuzz.samples import PDF, PNG, SCHEMA

CHAT_PLAIN: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 40,
}
CHAT_RICH: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {
            "role": "user",
            "name": "alice",
            "content": [
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"},
                },
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{PDF}",
                    },
                },
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "input_audio", "input_audio": {"data": PDF, "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "refusal", "refusal": "no"},
            ],
            "reasoning_content": "hm",
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "hm",
                    "signature": "c2ln",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                },
                {
                    "type": "reasoning.encrypted",
                    "data": "ZGF0YQ==",
                    "id": "rs_1",
                    "format": "openai-responses-v1",
                    "index": 1,
                },
            ],
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
                },
                {
                    "id": "call_2",
                    "type": "custom",
                    "custom": {"name": "shell", "input": "ls"},
                },
            ],
            "audio": {"id": "audio_1"},
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "18"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "text": "a b"}],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": "no",
            "function_call": {"name": "old", "arguments": "{}"},
        },
        {"role": "function", "name": "old", "content": "done"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "of a city",
                "parameters": SCHEMA,
                "strict": True,
            },
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {
            "type": "custom",
            "custom": {
                "name": "shell",
                "description": "runs",
                "format": {
                    "type": "grammar",
                    "grammar": {"syntax": "lark", "definition": 'start: "a"'},
                },
            },
        },
    ],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": SCHEMA, "strict": True, "description": "d"},
    },
    "reasoning_effort": "high",
    "verbosity": "low",
    "stop": ["END", "STOP"],
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 1,
    "seed": 7,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": -100},
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "user": "u-1",
    "safety_identifier": "s-1",
    "metadata": {"team": "red"},
    "service_tier": "auto",
    "store": False,
    "prompt_cache_key": "k",
    "prediction": {"type": "content", "content": "hello"},
    "modalities": ["text"],
    "audio": {"voice": "alloy", "format": "wav"},
    "web_search_options": {"search_context_size": "low"},
    "max_completion_tokens": 40,
    "stream": True,
    "stream_options": {"include_usage": True},
}

MESSAGES_PLAIN: dict[str, Any] = {
    "model": "m",
    "max_tokens": 40,
    "messages": [{"role": "user", "content": "hello"}],
}
MESSAGES_RICH: dict[str, Any] = {
    "model": "m",
    "max_tokens": 4000,
    "system": [
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                },
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "A",
                    "context": "c",
                    "citations": {"enabled": True},
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "plain"},
                },
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                },
                {
                    "type": "search_result",
                    "source": "https://example.com",
                    "title": "t",
                    "content": [{"type": "text", "text": "found"}],
                    "citations": {"enabled": True},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                {
                    "type": "text",
                    "text": "Let me see.",
                    "citations": [
                        {
                            "type": "char_location",
                            "cited_text": "p",
                            "document_index": 0,
                            "document_title": "A",
                            "start_char_index": 0,
                            "end_char_index": 1,
                        },
                        {
                            "type": "web_search_result_location",
                            "cited_text": "p",
                            "url": "https://example.com",
                            "title": "t",
                            "encrypted_index": "ZQ==",
                        },
                    ],
                },
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
                {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "18"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                        },
                    ],
                    "is_error": False,
                    "cache_control": {"type": "ephemeral"},
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": "no",
                    "is_error": True,
                },
            ],
        },
        {"role": "assistant", "content": "The answer is"},
    ],
    "tools": [
        {
            "name": "weather",
            "description": "of a city",
            "input_schema": SCHEMA,
            "cache_control": {"type": "ephemeral"},
            "strict": True,
        },
        {"type": "custom", "name": "time", "input_schema": {"type": "object"}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    ],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "metadata": {"user_id": "u-1"},
    "service_tier": "auto",
    "speed": "standard",
    "inference_geo": "global",
    "container": "c",
    "stream": True,
}

COMPLETIONS_PLAIN: dict[str, Any] = {"model": "m", "prompt": "hello", "max_tokens": 40}
COMPLETIONS_RICH: dict[str, Any] = {
    "model": "m",
    "prompt": ["hello", "world"],
    "suffix": "end",
    "max_tokens": 40,
    "best_of": 2,
    "n": 2,
    "echo": True,
    "logprobs": 2,
    "stop": ["END"],
    "seed": 3,
    "temperature": 0.5,
    "top_p": 0.9,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 5},
    "user": "u-1",
    "stream": True,
    "stream_options": {"include_usage": True},
}
COMPLETIONS_TOKENS: dict[str, Any] = {"model": "m", "prompt": [[1, 2, 3], [4]], "max_tokens": 4}

EMBEDDINGS_PLAIN: dict[str, Any] = {"model": "m", "input": "hello"}
EMBEDDINGS_RICH: dict[str, Any] = {
    "model": "m",
    "input": ["hello", "world"],
    "dimensions": 8,
    "encoding_format": "base64",
    "user": "u-1",
}
EMBEDDINGS_TOKENS: dict[str, Any] = {"model": "m", "input": [[1, 2], [3]], "dimensions": 8}

SEEDS: dict[str, list[dict[str, Any]]] = {
    "chat": [CHAT_PLAIN, CHAT_RICH],
    "messages": [MESSAGES_PLAIN, MESSAGES_RICH],
    "responses": [RESPONSES_PLAIN, RESPONSES_RICH],
    "completions": [COMPLETIONS_PLAIN, COMPLETIONS_RICH, COMPLETIONS_TOKENS],
    "embeddings": [EMBEDDINGS_PLAIN, EMBEDDINGS_RICH, EMBEDDINGS_TOKENS],
}
"""By the names of the routes."""
