"""Whatever JSON comes from a caller or a provider: a value, or an error that says whose fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.chat import ChatCall
from torana.core.events import Fold
from torana.dialects.base import ChatDialect, ReplyFrame, Traits
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_chat.call_reader import _READ
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.errors import InvalidRequest, UpstreamError

WORDS = [
    *["role", "content", "type", "text", "name", "id", "index", "function", "custom", "input"],
    *["arguments", "tool_calls", "tool_call_id", "refusal", "reasoning_details", "signature"],
    *["image_url", "url", "detail", "file", "file_data", "format", "data", "cache_control", "ttl"],
    *["annotations", "url_citation", "start_index", "json_schema", "schema", "mode", "tools"],
    *["allowed_tools", "effort", "max_tokens", "summary", "reasoning_content", "audio"],
    *["system", "user", "assistant", "tool", "function_call", "ephemeral", "5m", "grammar"],
    *["reasoning.text", "reasoning.encrypted", "anthropic-claude-v1", "data:image/png;base64,QQ"],
]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=4)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"])},
    optional={
        "content": JSON | st.text(max_size=3),
        "name": st.none() | st.text(max_size=3) | JSON,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"id": st.text(max_size=2), "function": JSON}, optional={"type": TEXTS}
            ),
            max_size=2,
        ),
        "function_call": JSON,
        "tool_call_id": st.text(max_size=2),
        "reasoning_details": JSON | st.lists(JSON, max_size=2),
        "annotations": JSON,
        "cache_control": JSON,
    },
)
FIELDS = st.dictionaries(st.sampled_from(sorted(_READ - {"model", "messages"})), JSON, max_size=3)
REQUEST = ReplyFrame(
    request=OPENAI_CHAT.decode_request(b'{"model":"m","messages":[]}'), request_id="req_1"
)


def call_of(dialect: ChatDialect, body: dict[str, Any]) -> ChatCall | None:
    text = json.dumps(body).encode()
    try:
        return dialect.read_call(dialect.decode_request(text))
    except InvalidRequest:
        return None


@given(st.lists(MESSAGE, max_size=3), FIELDS)
def test_every_request_is_a_call_or_is_refused_on_purpose(messages, fields):
    call = call_of(OPENAI_CHAT, {"model": "m", "messages": messages, **fields})
    if call is not None:
        assert all(message.parts for message in call.messages)
        if call.choices == 1:
            written = OPENAI_CHAT.write_call(call, Traits())
            assert OPENAI_CHAT.read_call(written.request).messages


@given(JSON, FIELDS)
def test_every_prompt_is_a_call_or_is_refused_on_purpose(prompt, fields):
    call = call_of(OPENAI_COMPLETIONS, {"model": "m", "prompt": prompt, **fields})
    if call is not None and call.choices == 1:
        OPENAI_COMPLETIONS.write_call(call, Traits())


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, OPENAI_COMPLETIONS])
@given(st.lists(JSON, max_size=4), st.dictionaries(TEXTS, JSON, max_size=4))
def test_every_chunk_is_events_or_an_error_of_the_providers(dialect, deltas, message):
    reader = dialect.reader()
    writer = dialect.writer(REQUEST)
    fold = Fold()
    try:
        events = []
        for delta in deltas:
            choice = {"delta": delta, "text": delta}
            events += reader.read(json.dumps({"choices": [choice]}).encode())
        events += reader.read(json.dumps({"choices": [{"delta": message}]}).encode())
        events += reader.read(b"[DONE]")
    except UpstreamError:
        return
    for event in events:
        fold.add(event)
        writer.write(event)
    assert fold.ended
    assert writer.end().endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, OPENAI_COMPLETIONS])
@given(JSON, st.text(max_size=3) | JSON, JSON)
def test_every_answer_is_a_reply_or_an_error_of_the_providers(dialect, message, text, usage):
    body = {"choices": [{"message": message, "text": text}], "usage": usage}
    try:
        reply = dialect.read_reply(json.dumps(body).encode())
    except UpstreamError:
        return
    dialect.write_reply(reply, REQUEST)
