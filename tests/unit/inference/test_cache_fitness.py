import json
from typing import Any

import msgspec
import pytest

from tests.unit.inference.fakes import PRINCIPAL
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.inference.cache_fitness import may_be_kept
from torana.inference.caller import CallContext, NoLink

CONTEXT = CallContext(request_id="req_1", principal=PRINCIPAL, received_at=0.0, link=NoLink())
CHAT: dict[str, Any] = {"model": "m", "messages": []}
RESPONSE: dict[str, Any] = {"model": "m", "input": "hi", "store": False}
MESSAGE: dict[str, Any] = {"model": "m", "messages": [], "max_tokens": 5}
DIALECTS = {"chat": (OPENAI_CHAT, CHAT), "responses": (OPENAI_RESPONSES, RESPONSE)}
FUNCTION = {"type": "function", "name": "f", "function": {"name": "f"}}


def fits(dialect: Any, fields: dict[str, Any], context: CallContext = CONTEXT) -> bool:
    request = dialect.decode_request(json.dumps(fields).encode())
    return may_be_kept(request, context, dialect=dialect)


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (OPENAI_CHAT, CHAT),
        (OPENAI_CHAT, CHAT | {"store": False, "stream": True, "tools": [FUNCTION]}),
        (OPENAI_CHAT, CHAT | {"store": None, "tools": None}),
        (OPENAI_RESPONSES, RESPONSE),
        (OPENAI_RESPONSES, RESPONSE | {"previous_response_id": None, "background": False}),
        (OPENAI_RESPONSES, RESPONSE | {"input": [{"role": "user", "content": "hi"}]}),
        (OPENAI_RESPONSES, RESPONSE | {"tools": [{"type": "web_search"}]}),
        (ANTHROPIC, MESSAGE),
        (ANTHROPIC, MESSAGE | {"tools": [{"name": "f", "input_schema": {}}]}),
        (OPENAI_EMBEDDINGS, {"model": "m", "input": [1, 2]}),
    ],
)
def test_a_call_that_is_all_in_its_request_fits(dialect: Any, fields: dict[str, Any]):
    assert fits(dialect, fields)


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (OPENAI_CHAT, CHAT | {"store": True}),
        (OPENAI_RESPONSES, {"model": "m", "input": "hi"}),
        (OPENAI_RESPONSES, RESPONSE | {"store": None}),
        (OPENAI_RESPONSES, RESPONSE | {"store": True}),
        (OPENAI_RESPONSES, RESPONSE | {"previous_response_id": "resp_1"}),
        (OPENAI_RESPONSES, RESPONSE | {"conversation": "conv_1"}),
        (OPENAI_CHAT, CHAT | {"background": True}),
        (OPENAI_RESPONSES, RESPONSE | {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        (OPENAI_RESPONSES, RESPONSE | {"input": [{"type": 5}]}),
        (OPENAI_RESPONSES, RESPONSE | {"prompt": {"id": "pmpt_1"}}),
        (OPENAI_RESPONSES, RESPONSE | {"tools": [{"type": "mcp"}]}),
        (OPENAI_RESPONSES, RESPONSE | {"tools": [{"type": "code_interpreter"}]}),
        (OPENAI_CHAT, CHAT | {"tools": [FUNCTION, 5]}),
        (ANTHROPIC, MESSAGE | {"container": "container_1"}),
        (ANTHROPIC, MESSAGE | {"mcp_servers": [{"url": "https://example.com"}]}),
        (ANTHROPIC, MESSAGE | {"tools": [{"type": "mcp_toolset"}]}),
    ],
)
def test_a_call_that_reaches_beyond_its_request_does_not(dialect: Any, fields: dict[str, Any]):
    assert not fits(dialect, fields)


@pytest.mark.parametrize("name", DIALECTS)
def test_an_idempotency_key_names_one_call(name: str):
    dialect, fields = DIALECTS[name]
    assert not fits(dialect, fields, msgspec.structs.replace(CONTEXT, idempotency_key="k"))


def test_a_call_that_goes_on_from_a_kept_conversation_does_not_fit():
    request = OPENAI_RESPONSES.decode_request(json.dumps(RESPONSE).encode())
    assert not may_be_kept(request, CONTEXT, dialect=OPENAI_RESPONSES, continued=True)
