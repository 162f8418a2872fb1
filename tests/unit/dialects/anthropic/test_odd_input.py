"""Whatever comes from outside, it is read or refused: never an error of another kind."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Traits
from torana.errors import InvalidRequest, UpstreamError

KEYS = st.sampled_from(
    [
        "type",
        "text",
        "thinking",
        "signature",
        "data",
        "id",
        "name",
        "input",
        "content",
        "source",
        "media_type",
        "url",
        "file_id",
        "tool_use_id",
        "is_error",
        "cache_control",
        "citations",
        "title",
        "index",
        "delta",
        "message",
        "usage",
        "content_block",
        "partial_json",
        "citation",
        "stop_reason",
        "output_tokens",
        "error",
        "odd",
    ]
)
WORDS = st.sampled_from(
    [
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "image",
        "document",
        "search_result",
        "base64",
        "url",
        "file",
        "content",
        "ephemeral",
        "text_delta",
        "input_json_delta",
        "thinking_delta",
        "signature_delta",
        "citations_delta",
        "torana.openai.x",
        "",
        "\x00",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
BLOCKS = st.dictionaries(KEYS, VALUES, max_size=6).map(lambda block: {"type": "text", **block})
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": WORDS | VALUES | st.lists(BLOCKS, max_size=3),
        }
    ),
    max_size=3,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "system",
            "tools",
            "tool_choice",
            "thinking",
            "output_config",
            "metadata",
            "stop_sequences",
            "cache_control",
            "temperature",
            "speed",
            "odd",
        ]
    ),
    VALUES | st.lists(BLOCKS, max_size=2),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(MESSAGES | VALUES, FIELDS)
def test_a_request_is_read_or_refused(messages, fields):
    body = json.dumps({**fields, "model": "m", "max_tokens": 9, "messages": messages}).encode()
    request = ANTHROPIC.decode_request(body)
    ANTHROPIC.labels(request)
    ANTHROPIC.encode_upstream(request, model="m", max_output=3)
    with contextlib.suppress(InvalidRequest):
        found = ANTHROPIC.read_costs(request)
        prompt = ANTHROPIC.prompt_texts(request, found)
        assert prompt.other_bytes >= 0
        assert prompt.all_bytes == found.text_bytes
    with contextlib.suppress(InvalidRequest):
        call = ANTHROPIC.read_call(request)
        ANTHROPIC.write_call(call, Traits())
        ANTHROPIC.write_call(call, Traits(adaptive_thinking=False, structured_output=False))


EVENTS = st.dictionaries(KEYS, VALUES, max_size=6).flatmap(
    lambda event: st.sampled_from(
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "error",
            "odd",
        ]
    ).map(lambda kind: {**event, "type": kind})
)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=6))
def test_a_stream_is_read_or_refused(events):
    reader = ANTHROPIC.reader()
    request = ANTHROPIC.decode_request(b'{"model":"m","max_tokens":1,"messages":[]}')
    fold = ANTHROPIC.fold(request, request_id="req_1", model="x", keeps_text=True)
    with contextlib.suppress(UpstreamError):
        for event in events:
            reader.read(json.dumps(event).encode())
        reader.finish()
    with contextlib.suppress(UpstreamError):
        for event in events:
            data = json.dumps(event).encode()
            fold.pass_on(b"event: x\ndata: " + data + b"\n\n", data)
    assert fold.visible is not None


@settings(max_examples=60, deadline=None)
@given(VALUES | st.lists(BLOCKS, max_size=3), st.dictionaries(KEYS, VALUES, max_size=3))
def test_an_answer_is_read_or_refused(content, fields):
    body = json.dumps({**fields, "type": "message", "content": content}).encode()
    with contextlib.suppress(UpstreamError):
        ANTHROPIC.decode_answer(body, model="x")
    with contextlib.suppress(UpstreamError):
        ANTHROPIC.read_reply(body)
