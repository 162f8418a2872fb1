"""Values that nobody expects: whatever comes, the answer is a value or an error of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.items import continued, conversation_items, without_foreign
from torana.dialects.openai_responses.reader import _READERS
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.openai_responses.rules import FIELDS, ITEMS, PART_TYPES, TOOL_TYPES
from torana.errors import ToranaError, UpstreamError

KEYS = st.sampled_from(
    [
        "annotations", "arguments", "call_id", "content", "detail", "encrypted_content", "file_data",
        "file_id", "file_url", "filename", "format", "id", "image_url", "input", "input_audio",
        "mode", "name", "output", "parameters", "prompt_cache_breakpoint", "refusal", "role",
        "schema", "status", "strict", "summary", "text", "tools", "ttl", "type", "url",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        *ITEMS, *PART_TYPES, *TOOL_TYPES, "user", "assistant", "system", "auto", "url_citation",
        "data:image/png;base64,AA", "data:,x", "torana.openai.e30", "allowed_tools", "json_schema",
    ]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
MANY = settings(max_examples=100, deadline=None)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@MANY
@given(st.dictionaries(st.sampled_from([*FIELDS, "odd"]), VALUES, max_size=4), VALUES)
def test_any_request_is_read_or_refused(fields, items):
    with suppress(ToranaError):
        request = decode_request(encoded({"stream": False, "input": items, **fields, "model": "m"}))
        with suppress(ToranaError):
            costs = OPENAI_RESPONSES.read_costs(request)
            OPENAI_RESPONSES.prompt_texts(request, costs)
        with suppress(ToranaError):
            conversation_items(request.fields)
            without_foreign(continued(request, b"[]"))
        OPENAI_RESPONSES.labels(request)
        OPENAI_RESPONSES.read_call(request)


@MANY
@given(st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=6), max_size=4))
def test_any_list_of_items_is_read_or_refused(items):
    request = decode_request(encoded({"model": "m", "input": items, "tools": items}))
    with suppress(ToranaError):
        assert OPENAI_RESPONSES.read_costs(request).text_bytes > 0
    with suppress(ToranaError):
        assert OPENAI_RESPONSES.read_call(request).messages is not None


@MANY
@given(
    st.dictionaries(
        KEYS | st.sampled_from(["object", "usage", "error", "created_at"]), VALUES, max_size=6
    )
)
def test_any_answer_is_read_or_is_the_providers_fault(fields):
    body = encoded({"object": "response", **fields})
    for decode in (OPENAI_RESPONSES.decode_answer, OPENAI_RESPONSES.read_reply):
        with suppress(UpstreamError):
            decode(body)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    kinds = [*_READERS, "response.completed", "response.created", "error", "response.failed"]
    fields = draw(
        st.dictionaries(
            st.sampled_from(["item", "part", "delta", "annotation", "response"]), VALUES
        )
    )
    index = draw(st.integers(0, 1))
    return encoded({**fields, "type": draw(st.sampled_from(kinds)), "output_index": index})


@MANY
@given(st.lists(frames(), max_size=5))
def test_any_stream_is_read_or_is_the_providers_fault(stream):
    reader = OPENAI_RESPONSES.reader()
    request = decode_request(b'{"model":"m","input":"x"}')
    fold = OPENAI_RESPONSES.fold(request, request_id="r", model="n", keeps_text=True)
    for data in stream:
        with suppress(UpstreamError):
            reader.read(data)
        with suppress(UpstreamError):
            fold.pass_on(b"data: " + data + b"\n\n", data)
    assert fold.visible is not None


@pytest.mark.parametrize(
    "value", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000]
)
@pytest.mark.parametrize("name", ["input", "tools", "text", "tool_choice", "metadata", "reasoning"])
def test_deep_nesting_is_refused_not_followed(name, value):
    others = "" if name == "input" else '"input":"x",'
    with pytest.raises(ToranaError) as caught:
        OPENAI_RESPONSES.read_call(
            decode_request(f'{{"model":"m",{others}"{name}":{value}}}'.encode())
        )
    assert caught.value.status == 400


def test_ten_thousand_messages_are_read():
    items = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}] * 5_000
    request = decode_request(encoded({"model": "m", "input": items}))
    assert len(OPENAI_RESPONSES.read_call(request).messages) == 10_000
    assert OPENAI_RESPONSES.read_costs(request).unruled == ()


def test_names_of_losses_are_cut_in_length_and_number():
    tools = [{"type": f"{n}" + "x" * 1_000, "name": "f"} for n in range(100)]
    call = OPENAI_RESPONSES.read_call(
        decode_request(encoded({"model": "m", "input": "x", "tools": tools}))
    )
    assert len(call.unsaid) == 33
    assert call.unsaid[-1] == "..."
    assert max(map(len, call.unsaid)) == 80


def test_a_tool_whose_type_is_a_list_is_named():
    request = decode_request(encoded({"model": "m", "input": "x", "tools": [{"type": []}]}))
    assert OPENAI_RESPONSES.read_costs(request).unruled == ("tools[].type",)
