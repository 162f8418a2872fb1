"""Which dialect a call goes to its provider in, and what of it can't be said there."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from torana.core.chat import ChatCall, FunctionTool
from torana.dialects import signatures, wire
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Dialect, Traits, Written
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import InvalidRequest, TranslationLoss
from torana.inference.wires import Wire, wire_of
from torana.providers.anthropic import AnthropicProvider
from torana.providers.openai import CompatibleProvider, LocalProvider, OpenAIProvider
from torana.routing.catalog import Target

OPENAI = OpenAIProvider.speaks
LOOK_ALIKE = CompatibleProvider.speaks
CLAUDE = AnthropicProvider.speaks
USER = {"role": "user", "content": "hi"}
THOUGHT = signatures.pack("openai", "rs_1", "sealed")
CLAUDES_THOUGHT = signatures.pack("anthropic", None, "signed")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}

CHAT = {"messages": [USER]}
MESSAGES = {"messages": [USER], "max_tokens": 50}


def going(
    caller: Dialect,
    fields: dict[str, Any] | bytes,
    speaks: tuple[Dialect, ...],
    model: str = "m",
    **options: Any,
) -> Wire:
    body = fields
    if not isinstance(body, bytes):
        body = json.dumps({"model": "asked", **body}).encode()
    target = Target(provider="p", model=model)
    return wire_of(caller, caller.decode_request(body), speaks=speaks, target=target, **options)


def sent(made: Wire) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire.encode_fields(made.request.fields))
    return found


# --- the caller's own dialect ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "fields", "speaks"),
    [
        (OPENAI_CHAT, CHAT, OPENAI),
        (OPENAI_RESPONSES, {"input": "hi"}, OPENAI),
        (OPENAI_COMPLETIONS, {"prompt": "hi"}, OPENAI),
        (OPENAI_EMBEDDINGS, {"input": "hi"}, OPENAI),
        (ANTHROPIC, MESSAGES, CLAUDE),
    ],
    ids=lambda value: value.route if isinstance(value, Dialect) else "",
)
def test_in_the_providers_own_dialect_a_request_passes_unread(caller, fields, speaks):
    made = going(caller, {**fields, "brand_new": 1}, speaks, strict=True)
    assert (made.dialect, made.call, made.lost, made.schema) == (caller, None, (), None)
    assert made.request is made.asked


FOREIGN: list[Any] = [
    (
        ANTHROPIC,
        {
            "max_tokens": 50,
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": THOUGHT},
                        {"type": "text", "text": "Yes."},
                    ],
                },
                USER,
            ],
        },
        CLAUDE,
    ),
    (
        OPENAI_RESPONSES,
        {
            "input": [
                {"role": "user", "content": "hi"},
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [],
                    "encrypted_content": CLAUDES_THOUGHT,
                },
                {"role": "assistant", "content": "Yes."},
            ]
        },
        OPENAI,
    ),
]


@pytest.mark.parametrize(("caller", "fields", "speaks"), FOREIGN, ids=["messages", "responses"])
def test_another_vendors_thinking_is_left_out_and_named(caller, fields, speaks):
    made = going(caller, fields, speaks)
    assert (made.call, made.lost) == (None, ("thinking",))
    assert "torana." not in json.dumps(sent(made))
    assert "Yes." in json.dumps(sent(made))
    assert b"torana." in wire.encode_fields(
        made.asked.fields
    )  # The caller's own request stays as it was.


@pytest.mark.parametrize(("caller", "fields", "speaks"), FOREIGN, ids=["messages", "responses"])
def test_a_strict_caller_is_told_of_anothers_thinking(caller, fields, speaks):
    with pytest.raises(TranslationLoss) as caught:
        going(caller, fields, speaks, strict=True)
    assert caught.value.names == ("thinking",)


THOUGHTFUL = {
    "messages": [
        USER,
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        USER,
    ]
}


def test_openais_own_chat_gets_no_thinking():
    made = going(OPENAI_CHAT, THOUGHTFUL, OPENAI, takes_thinking=OpenAIProvider.takes_thinking)
    assert made.lost == ("thinking",)
    assert sent(made)["messages"] == [USER, {"role": "assistant", "content": "Yes."}, USER]
    with pytest.raises(TranslationLoss):
        going(OPENAI_CHAT, THOUGHTFUL, OPENAI, takes_thinking=False, strict=True)


@pytest.mark.parametrize("provider", [CompatibleProvider, LocalProvider])
def test_a_look_alikes_chat_gets_its_thinking_back(provider):
    made = going(OPENAI_CHAT, THOUGHTFUL, provider.speaks, takes_thinking=provider.takes_thinking)
    assert (made.request is made.asked, made.lost) == (True, ())


# --- translation -------------------------------------------------------------------------------


class Losing(type(OPENAI_CHAT)):  # type: ignore[misc]
    """A dialect in which something is lost."""

    def __init__(self, *lost: str) -> None:
        self.lost = lost
        self.asked: list[Traits] = []

    def write_call(self, call: ChatCall, traits: Traits) -> Written:
        self.asked.append(traits)
        written: Written = super().write_call(call, traits)
        return msgspec.structs.replace(written, lost=self.lost)


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ([("a", "b"), ("a",), ()], 2),
        ([("a", "b"), ("a",), ("c", "d")], 1),
        ([("a",), ("b",)], 0),
        ([(), ("b",)], 0),
    ],
)
def test_the_dialect_that_loses_least_is_spoken(losses, chosen):
    speaks = tuple(Losing(*lost) for lost in losses)
    made = going(ANTHROPIC, MESSAGES, speaks)
    assert made.dialect is speaks[chosen]
    assert made.lost == losses[chosen]


def test_where_nothing_is_lost_no_other_dialect_is_tried():
    first, second = Losing(), Losing()
    going(ANTHROPIC, MESSAGES, (first, second))
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_what_neither_side_can_say_is_named_once_and_first():
    call = {**MESSAGES, "container": "c_1"}
    made = going(ANTHROPIC, call, (Losing("container", "top_k"),))
    assert made.lost == ("container", "top_k")
    with pytest.raises(TranslationLoss) as caught:
        going(ANTHROPIC, call, (Losing("container", "top_k"),), strict=True)
    assert caught.value.names == ("container", "top_k")


def test_the_writer_knows_the_model_that_it_writes_for():
    writer = Losing()
    target = Target(provider="p", model="claude-3-opus-latest", max_output=77)
    request = ANTHROPIC.decode_request(json.dumps({"model": "asked", **MESSAGES}).encode())
    wire_of(ANTHROPIC, request, speaks=(writer,), target=target)
    (traits,) = writer.asked
    assert (traits.max_output, traits.structured_output, traits.adaptive_thinking) == (
        77,
        False,
        False,
    )


def test_stop_sequences_go_to_openais_chat():
    made = going(ANTHROPIC, {**MESSAGES, "stop_sequences": ["END"]}, OPENAI, strict=True)
    assert made.dialect is OPENAI_CHAT
    assert sent(made)["stop"] == ["END"]


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "adaptive"}},
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": THOUGHT},
                        {"type": "text", "text": "Yes."},
                    ],
                },
                USER,
            ]
        },
    ],
    ids=["asked for", "in the history"],
)
def test_thinking_goes_to_openais_responses(fields):
    made = going(ANTHROPIC, {**MESSAGES, **fields}, OPENAI, model="gpt-5.6")
    assert made.dialect is OPENAI_RESPONSES
    assert "thinking" not in made.lost


def test_without_thinking_openais_chat_is_spoken_first():
    assert going(ANTHROPIC, MESSAGES, OPENAI).dialect is OPENAI_CHAT


def test_a_conversation_is_never_written_as_a_completion():
    with pytest.raises(InvalidRequest):
        going(ANTHROPIC, MESSAGES, (OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS))
    assert going(OPENAI_COMPLETIONS, {"prompt": "x"}, CLAUDE).dialect is ANTHROPIC


@pytest.mark.parametrize(
    ("caller", "fields", "speaks"),
    [
        (OPENAI_EMBEDDINGS, {"input": "x"}, CLAUDE),
        (OPENAI_EMBEDDINGS, {"input": "x"}, LocalProvider.speaks),
        (OPENAI_CHAT, CHAT, (OPENAI_EMBEDDINGS,)),
        (ANTHROPIC, MESSAGES, ()),
    ],
)
def test_a_model_that_does_not_serve_a_route_is_refused_by_name(caller, fields, speaks):
    with pytest.raises(InvalidRequest) as caught:
        going(caller, fields, speaks)
    assert (caught.value.param, caught.value.status) == ("model", 400)
    assert "asked" in caught.value.message


@pytest.mark.parametrize("speaks", [OPENAI, LOOK_ALIKE, CLAUDE])
def test_a_conversation_that_is_kept_here_is_never_passed_on_unread(speaks):
    kept = going(OPENAI_RESPONSES, {"input": "hi"}, speaks, continued=True)
    assert kept.call is not None
    assert kept.request is not kept.asked


def test_what_is_kept_here_may_hold_another_vendors_thinking():
    fields = FOREIGN[1][1]
    made = going(OPENAI_RESPONSES, fields, OPENAI, continued=True)
    assert "thinking" in made.lost
    assert CLAUDES_THOUGHT not in json.dumps(sent(made))


HALF = (
    b'{"model": "asked", "max_tokens": 5, "messages": [{"role": "user", "content": "a \\ud83d b"}]}'
)


def test_half_characters_are_replaced_before_a_call_is_read():
    made = going(ANTHROPIC, HALF, LOOK_ALIKE)
    assert sent(made)["messages"] == [{"role": "user", "content": "a \ufffd b"}]
    assert b"\\ud83d" in bytes(made.asked.fields["messages"])


def test_half_characters_pass_where_nothing_is_read():
    made = going(ANTHROPIC, HALF, CLAUDE)
    assert b"\\ud83d" in bytes(made.request.fields["messages"])


# --- schemas that a model is only asked to follow ----------------------------------------------


@pytest.mark.parametrize(
    ("model", "form", "schema"),
    [
        ("claude-3-opus-latest", FORM, SCHEMA),
        ("claude-3-opus-latest", {"type": "json_object"}, {"type": "object"}),
        ("claude-opus-5", FORM, None),
        ("claude-opus-5", {"type": "text"}, None),
    ],
)
def test_a_schema_is_checked_where_the_model_can_not_be_held_to_it(model, form, schema):
    made = going(OPENAI_CHAT, {**CHAT, "response_format": form}, CLAUDE, model=model)
    assert made.instructed is (schema is not None)
    assert (made.schema is None) == (schema is None)
    if schema is not None:
        assert made.schema == schema


def test_what_was_read_is_kept_as_a_value():
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    made = going(ANTHROPIC, {**MESSAGES, "tools": tools}, LOOK_ALIKE)
    assert made.call is not None
    (tool,) = made.call.tools
    assert isinstance(tool, FunctionTool)
    assert made.asked.model == made.request.model == "asked"
