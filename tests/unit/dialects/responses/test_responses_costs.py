"""What of a Responses request bears on its cost: nothing that may cost something is passed over."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from typing_extensions import is_typeddict

from torana.dialects.costs import AND_MORE, CallCosts
from torana.dialects.openai_responses import cost_items
from torana.dialects.openai_responses.costs import NAMES, TOOL_KEYS, read_costs
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.openai_responses.rules import (
    EXTENSIONS,
    FIELDS,
    ITEMS,
    PART_TYPES,
    TIERS,
    TOOL_TYPES,
    UNRULED_TOOLS,
    ItemRule,
    Rule,
)
from torana.errors import InvalidRequest

HELLO = [{"role": "user", "content": "hello"}]


def costs_of(body: bytes) -> CallCosts:
    return read_costs(decode_request(body))


def costs(items: Any = None, **fields: Any) -> CallCosts:
    body = {"model": "m", "input": HELLO if items is None else items, **fields}
    return costs_of(json.dumps(body, separators=(",", ":")).encode())


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


# --- the tables and the SDK --------------------------------------------------------------------


@pytest.fixture(scope="module")
def responses():
    from openai.types import responses

    return responses


def keys(typed_dict: Any) -> set[str]:
    return set(get_type_hints(typed_dict))


def literals(annotation: Any) -> set[str]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*map(literals, get_args(annotation)))


def kinds(members: Any) -> set[str]:
    return set().union(*(literals(get_type_hints(member)["type"]) for member in members))


def members_of(alias: Any) -> list[Any]:
    """The typed dicts of a union, unions in it and lists of them included."""
    if is_typeddict(alias):
        return [alias]
    return [found for inner in get_args(alias) for found in members_of(inner)]


def test_every_field_that_the_sdk_can_send_is_in_the_table_and_no_other(responses):
    params = responses.response_create_params
    sent = keys(params.ResponseCreateParamsBase) | keys(params.ResponseCreateParamsStreaming)
    assert set(FIELDS) == sent
    assert not set(EXTENSIONS) & set(FIELDS)


def test_every_type_of_item_that_the_sdk_can_send_has_a_rule(responses):
    assert kinds(members_of(responses.ResponseInputItemParam)) == set(ITEMS)


def test_every_field_of_an_item_that_counts_by_its_bytes_is_known(responses):
    for member in members_of(responses.ResponseInputItemParam):
        (kind, *_) = literals(get_type_hints(member)["type"])
        if ITEMS[kind] is ItemRule.BYTES:
            assert keys(member) <= cost_items.ITEM_KEYS, kind


def test_every_type_of_part_that_the_sdk_can_send_has_a_rule(responses):
    contents = [
        *members_of(responses.ResponseInputContentParam),
        *members_of(
            responses.response_function_call_output_item_list_param.ResponseFunctionCallOutputItemParam
        ),
        *members_of(responses.response_output_message_param.Content),
        *members_of(responses.response_reasoning_item_param.Content),
        *members_of(responses.response_reasoning_item_param.Summary),
        responses.response_input_audio_param.ResponseInputAudioParam,
    ]
    assert kinds(contents) == PART_TYPES
    assert set().union(*map(keys, contents)) <= cost_items.PART_KEYS


def test_every_type_of_tool_that_the_sdk_can_send_has_a_rule_or_none(responses):
    tools = members_of(responses.ToolParam)
    assert kinds(tools) - TOOL_TYPES <= UNRULED_TOOLS
    assert kinds(tools) >= TOOL_TYPES
    assert not TOOL_TYPES & UNRULED_TOOLS
    for tool in tools:
        if literals(get_type_hints(tool)["type"]) <= TOOL_TYPES:
            assert keys(tool) <= TOOL_KEYS


def test_every_tier_of_the_sdk_is_cheap_or_refused_by_name(responses):
    for tier in literals(responses.service_tier.ServiceTier):
        expected = () if tier in TIERS else (f"service_tier={tier}",)
        assert costs(service_tier=tier).unruled == expected


# --- fields ------------------------------------------------------------------------------------


def test_a_plain_call_costs_the_bytes_of_its_input_and_nothing_has_no_rule():
    found = costs(
        temperature=0.5,
        user="u",
        metadata={"a": "b"},
        store=False,
        truncation="auto",
        include=["x"],
    )
    assert found == CallCosts(text_bytes=size(HELLO), names=NAMES)
    assert costs("hello") == CallCosts(text_bytes=len('"hello"'), names=NAMES)


def test_instructions_are_part_of_the_prompt():
    assert costs("", instructions="x" * 50).text_bytes == 52 + 2


@pytest.mark.parametrize("name", [n for n, rule in FIELDS.items() if rule is Rule.NONE])
def test_a_field_without_a_price_is_named(name):
    assert costs(**{name: {"a": 1}}).unruled == (name,)


def test_an_unknown_field_is_named_and_its_bytes_count_should_it_be_declared_free():
    found = costs(plugins=[{"id": "web"}])
    assert found.unruled == ("plugins",)
    assert found.text_bytes == size(HELLO) + size([{"id": "web"}])


@pytest.mark.parametrize("name", [*FIELDS.keys() - {"input", "model"}, "unheard_of"])
def test_null_is_as_if_the_field_were_not_there(name):
    assert costs(**{name: None}) == costs()


@pytest.mark.parametrize(
    "fields",
    [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"conversation": {"id": "c"}}],
)
def test_what_the_provider_keeps_is_a_prompt_that_nobody_sees(fields):
    found = costs(**fields)
    assert (found.unseen_prompt, found.unruled) == (True, ())


def test_a_template_is_unseen_and_may_bring_tools_of_the_provider():
    found = costs(prompt={"id": "pmpt_1", "variables": {"a": "b"}})
    assert (found.unseen_prompt, found.unruled) == (True, ("prompt",))


def test_a_limit_of_output_comes_along_and_zero_is_none():
    assert costs(max_output_tokens=7).max_output == 7
    assert costs(max_output_tokens=0).max_output is None


@pytest.mark.parametrize(
    ("reasoning", "names"),
    [
        ({"effort": "high", "summary": "auto"}, ()),
        ({"mode": "standard"}, ()),
        ({"mode": "pro"}, ("reasoning.mode",)),
        ("high", ("reasoning",)),
    ],
)
def test_reasoning_is_output_but_a_dearer_mode_has_no_rule(reasoning, names):
    assert costs(reasoning=reasoning).unruled == names


@pytest.mark.parametrize(
    "reasoning", ['{"mode":"pro","mode":"standard"}', '{"m\\u006fde":"pro","mode":"standard"}']
)
def test_a_dearer_mode_cannot_hide_behind_an_equal_key(reasoning):
    body = f'{{"model":"m","input":"","reasoning":{reasoning}}}'.encode()
    assert costs_of(body).unruled == ("reasoning.mode",)


def test_a_form_of_the_text_counts_as_a_schema():
    plain = {"format": {"type": "json_schema", "name": "a", "schema": {"x": "e" * 100}}}
    assert costs(text=plain).text_bytes == size(HELLO) + size(plain)
    body = '{"model":"m","input":[],"text":{"x":"é"}}'.encode()
    assert costs_of(body).text_bytes == len("[]") + 3 * len('{"x":"é"}'.encode())


@pytest.mark.parametrize("tier", [7, ["auto"], {}])
def test_a_tier_that_is_no_text_is_named(tier):
    assert costs(service_tier=tier).unruled == ("service_tier",)


def test_a_long_list_of_names_is_cut_and_says_so_in_a_way_that_nobody_can_declare_free():
    found = costs(**{f"field_{n}": 1 for n in range(100)})
    assert len(found.unruled) == 17
    assert found.unruled[-1] == AND_MORE


# --- tools -------------------------------------------------------------------------------------


def test_tools_of_the_caller_count_by_their_bytes():
    tools = [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object"},
            "strict": True,
            "async": False,
        },
        {"type": "custom", "name": "c", "format": {"type": "text"}},
    ]
    found = costs(tools=tools)
    assert found.text_bytes == size(HELLO) + size(tools)
    assert (found.tools, found.unruled, found.web_search) == (True, (), False)


@pytest.mark.parametrize("kind", sorted(UNRULED_TOOLS))
def test_a_tool_that_a_provider_may_run_is_named(kind):
    found = costs(tools=[{"type": kind}])
    assert found.unruled == (f"tools[].type={kind}",)
    assert found.web_search is kind.startswith("web_search")


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([{"type": "function", "name": "f", "container": 1}], ("tools[].container",)),
        ([{"name": "f"}], ("tools[].type",)),
        ([{"type": 7}], ("tools[].type",)),
        ([1], ("tools",)),
        ("x", ("tools",)),
    ],
)
def test_an_odd_tool_is_named(tools, names):
    assert costs(tools=tools).unruled == names


def test_a_tool_cannot_hide_behind_a_second_type():
    body = b'{"model":"m","input":[],"tools":[{"type":"web_search","type":"function"}]}'
    with pytest.raises(InvalidRequest) as caught:
        costs_of(body)
    assert caught.value.param == "tools"
