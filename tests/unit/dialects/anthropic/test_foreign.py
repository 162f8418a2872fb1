"""A caller who changes from another vendor's model to an Anthropic one."""

from __future__ import annotations

import json
from typing import Any

from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.signatures import pack

OWN = {"type": "thinking", "thinking": "hm", "signature": "sig"}
HIDDEN = {"type": "redacted_thinking", "data": "own"}
FOREIGN = [
    {"type": "thinking", "thinking": "x", "signature": pack("openai", "rs_1", "enc")},
    {"type": "thinking", "thinking": "x", "signature": ""},
    {"type": "redacted_thinking", "data": pack("openai", None, "enc")},
]
TEXT = {"type": "text", "text": "said"}
HELLO = {"role": "user", "content": "hello"}


def sent(*messages: Any) -> list[Any]:
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": messages}).encode()
    request, lost = ANTHROPIC.own(ANTHROPIC.decode_request(body))
    assert lost == ("thinking",)
    upstream = json.loads(ANTHROPIC.encode_upstream(request, model="claude"))
    messages_sent: list[Any] = upstream["messages"]
    return messages_sent


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def test_thinking_that_anthropic_has_not_signed_is_not_sent_to_it():
    assert sent(HELLO, assistant(OWN, *FOREIGN, HIDDEN, TEXT), HELLO) == [
        HELLO,
        assistant(OWN, HIDDEN, TEXT),
        HELLO,
    ]


def test_a_turn_of_nothing_else_is_not_sent():
    assert sent(HELLO, assistant(*FOREIGN), HELLO) == [HELLO, HELLO]


def test_everything_else_passes_to_the_byte():
    messages = (
        b'[ {"role":"user","content":"about \\"torana.x"},'
        b'{"role":"assistant","content":[{"type":"thinking","thinking":"\\u00e9","signature":"s"},'
        b'{"type":"tool_use","id":"t","name":"f","input":{"signature":"","n":1.0e3}}]}]'
    )
    request = ANTHROPIC.decode_request(b'{"model":"m","max_tokens":1,"messages":%b}' % messages)
    assert ANTHROPIC.own(request) == (request, ())
    written = ANTHROPIC.encode_upstream(request, model="m")
    assert written == b'{"model":"m","max_tokens":1,"messages":%b}' % messages


def test_odd_messages_pass_as_they_are():
    for odd in ('"signature":""', [['"torana.'], 7], {"torana.": 1}):
        request = ANTHROPIC.decode_request(
            json.dumps({"model": "m", "max_tokens": 1, "messages": odd}).encode()
        )
        assert json.loads(ANTHROPIC.encode_upstream(request, model="m"))["messages"] == odd
