"""Calls and replies under guardrails: every text is seen, and all else stays."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import EVERYTHING, calls, replies
from tests.unit.guardrails.guarding import blocking, guards_of, masking
from torana.core.chat import (
    ChatCall,
    ChatReply,
    CustomTool,
    Document,
    DocumentCitation,
    FunctionTool,
    HiddenThinking,
    Message,
    OutputFormat,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UrlCitation,
)
from torana.errors import GuardrailBlocked
from torana.guardrails.calls import guard_call, rewrite_call
from torana.guardrails.replies import LOST_SIGNATURE, guard_reply

JANE = "jane@example.com"
SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "description": f"such as {JANE}", "enum": [JANE]},
        "title": {"type": "string", "default": JANE, "pattern": JANE},
    },
}


def said(*parts: Part, **fields: Any) -> ChatCall:
    return ChatCall(model="m", messages=(Message("user", parts),), **fields)


def masked(call: ChatCall) -> ChatCall:
    return guard_call(guards_of(masking()), call)


@pytest.mark.parametrize(
    "part",
    [
        Text(JANE),
        Refusal(JANE),
        Thinking(JANE),
        Document(PlainText(JANE)),
        Document(PlainText(""), title=JANE),
        Document(PlainText(""), context=JANE),
        ToolCall("1", "send", json.dumps({"to": [JANE]})),
        ToolCall("1", "send", json.dumps({JANE: 1})),
        ToolCall("1", "send", f'{{"to": "{JANE}'),
        ToolCall("1", "send", JANE, custom=True),
        ToolResult("1", (Text(JANE),)),
        ToolResult("1", (Document(PlainText(JANE)),)),
        Text("", citations=(UrlCitation("https://x.test", title=JANE),)),
        Text("", citations=(UrlCitation("https://x.test", cited_text=JANE),)),
        Text("", citations=(DocumentCitation("char", {"cited_text": JANE, "start": 1}),)),
    ],
)
def test_every_text_of_a_message_is_masked_and_judged(part):
    call = said(part)
    written = msgspec.json.encode(masked(call)).decode()
    assert JANE not in written
    assert written.count("[EMAIL_1]") == 1
    with pytest.raises(GuardrailBlocked):
        guard_call(guards_of(blocking(words=[JANE])), call)


@pytest.mark.parametrize(
    "part",
    [
        Thinking(JANE, signature="s", vendor="anthropic"),
        HiddenThinking(JANE, vendor="openai"),
        ToolCall(JANE, JANE, "{}"),
    ],
)
def test_what_its_provider_has_signed_and_names_stay(part):
    call = said(part)
    assert masked(call) == call


def test_descriptions_of_tools_and_formats_are_texts_and_the_rest_of_schemas_is_not():
    call = said(
        Text("x"),
        tools=(
            FunctionTool("send", description=JANE, schema=SCHEMA),
            CustomTool("free", description=JANE),
        ),
        format=OutputFormat(schema=SCHEMA, description=JANE),
    )
    passed = masked(call)
    assert [tool.description for tool in passed.tools] == ["[EMAIL_1]"] * 2
    assert passed.format is not None
    assert passed.format.description == "[EMAIL_1]"
    assert passed.format.schema == {
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "such as [EMAIL_1]", "enum": ["[EMAIL_1]"]},
            "title": {"type": "string", "default": "[EMAIL_1]", "pattern": JANE},
        },
    }
    guard_call(guards_of(blocking(words=["string", "object"])), call)


def test_places_in_a_text_that_was_changed_are_not_known_any_more():
    citation = UrlCitation("https://x.test", start=3, end=5)
    (message,) = masked(said(Text(JANE, citations=(citation,)))).messages
    assert message.parts == (
        Text("[EMAIL_1]", citations=(UrlCitation("https://x.test", start=0, end=0),)),
    )
    same = said(Text("nobody", citations=(citation,)))
    assert masked(same) == same


@given(calls(EVERYTHING))
def test_a_walk_that_changes_nothing_gives_the_call_back(call):
    assert rewrite_call(call, lambda text: text) == call


@given(calls(EVERYTHING))
def test_a_walk_meets_the_same_texts_each_time(call):
    walks: list[list[str]] = [[], []]
    for seen in walks:

        def note(text: str, seen: list[str] = seen) -> str:
            seen.append(text)
            return text

        rewrite_call(call, note)
    assert walks[0] == walks[1]


@given(replies(EVERYTHING))
def test_a_reply_that_nothing_changes_means_the_same(reply):
    guards = guards_of(blocking(patterns=["never[0-9]{9}here"]))
    passed = guard_reply(guards, reply)
    assert readable(passed) == readable(reply)


def readable(reply: ChatReply) -> ChatReply:
    """Arguments by their meaning: their strings may be written with other escapes."""
    return msgspec.structs.replace(
        reply,
        parts=tuple(
            msgspec.structs.replace(part, arguments=str(json.loads(part.arguments)))
            if isinstance(part, ToolCall) and not part.custom
            else part
            for part in reply.parts
        ),
    )


def replied(*parts: Part) -> ChatReply:
    return ChatReply(id="1", model="m", parts=parts)


def test_placeholders_of_a_reply_become_values_again():
    guards = guards_of(masking())
    guard_call(guards, said(Text(JANE)))
    signed = Thinking("[EMAIL_1]", signature="s", vendor="anthropic")
    citation = UrlCitation("https://x.test", title="[EMAIL_1]", start=1, end=2)
    passed = guard_reply(
        guards,
        replied(
            signed,
            Text("to [EMAIL_1]", citations=(citation,)),
            Refusal("[EMAIL_1]"),
            ToolCall("1", "send", '{"to": "[EMAIL_1]", "n": 1.0}'),
            ToolCall("2", "free", "[EMAIL_1]", custom=True),
        ),
    )
    assert passed.parts == (
        signed,
        Text(f"to {JANE}", citations=(UrlCitation("https://x.test", title=JANE),)),
        Refusal(JANE),
        ToolCall("1", "send", f'{{"to": "{JANE}", "n": 1.0}}'),
        ToolCall("2", "free", JANE, custom=True),
    )
    assert passed.lost == ()


@pytest.mark.parametrize(
    "part",
    [
        Text("a secret"),
        Refusal("a secret"),
        Thinking("a secret"),
        ToolCall("1", "n", '{"a": "secret"}'),
        ToolCall("1", "n", "secret", custom=True),
        Text("", citations=(UrlCitation("https://x.test", cited_text="secret"),)),
        Text("", citations=(DocumentCitation("char", {"cited_text": "secret"}),)),
    ],
)
def test_every_text_of_a_reply_is_judged(part):
    with pytest.raises(GuardrailBlocked):
        guard_reply(guards_of(blocking(words=["secret"])), replied(part))


def test_thinking_that_was_changed_has_lost_its_signature():
    guards = guards_of(masking("answer"))
    passed = guard_reply(
        guards, replied(Thinking(JANE, signature="s", vendor="anthropic"), Thinking("x"))
    )
    assert passed.parts == (Thinking("[EMAIL_1]"), Thinking("x"))
    assert passed.lost == (LOST_SIGNATURE,)


@given(st.data())
def test_a_reply_that_nothing_looks_at_is_the_same_object(data):
    reply = data.draw(replies(EVERYTHING))
    assert guard_reply(guards_of(masking()), reply) is reply
