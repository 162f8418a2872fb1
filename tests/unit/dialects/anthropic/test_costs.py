"""What of a message's request bears on its cost: nothing that may cost something is passed over."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.anthropic.costs import NAMES
from torana.dialects.anthropic.rules import (
    BLOCK_FIELDS,
    CHEAP,
    CLIENT_TOOLS,
    EXTENSIONS,
    FIELDS,
    OUTPUT_FIELDS,
    RULED_KINDS,
    TOOL_FIELDS,
    UNRULED_KINDS,
    Rule,
)
from torana.dialects.costs import CallCosts
from torana.errors import InvalidRequest

HELLO = [{"role": "user", "content": "hello"}]
PNG = {"type": "base64", "media_type": "image/png", "data": "A" * 10_000}
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}


def costs_of(body: bytes) -> CallCosts:
    return ANTHROPIC.read_costs(ANTHROPIC.decode_request(body))


def costs(messages: Any = None, **fields: Any) -> CallCosts:
    body = {
        "model": "m",
        "max_tokens": 5,
        "messages": HELLO if messages is None else messages,
        **fields,
    }
    return costs_of(json.dumps(body, separators=(",", ":")).encode())


def blocks(*content: Any) -> CallCosts:
    return costs([{"role": "user", "content": list(content)}])


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def raw_messages(messages: str) -> CallCosts:
    return costs_of(b'{"model":"m","max_tokens":5,"messages":' + messages.encode() + b"}")


def raw_block(block: str) -> CallCosts:
    return raw_messages(f'[{{"role":"user","content":[{block}]}}]')


# --- the tables and the SDK --------------------------------------------------------------------


@pytest.fixture(scope="module")
def types():
    from anthropic import types

    return types


def keys(typed_dict: Any) -> set[str]:
    return set(get_type_hints(typed_dict))


def members(union: Any) -> list[Any]:
    return [member for member in get_args(union) if member is not type(None)]


def literals(typed_dict: Any, key: str) -> set[str]:
    found: set[str] = set()
    waiting = [get_type_hints(typed_dict)[key]]
    while waiting:
        annotation = waiting.pop()
        if get_origin(annotation) is Literal:
            found |= set(get_args(annotation))
        else:
            waiting += [arg for arg in get_args(annotation) if arg is not type(None)]
    return found


def test_every_field_that_the_sdk_can_send_is_in_the_table_and_no_other(types):
    params = types.message_create_params
    sent = keys(params.MessageCreateParamsBase) | keys(params.MessageCreateParamsStreaming)
    assert set(FIELDS) == sent
    assert not set(EXTENSIONS) & set(FIELDS)


def _blocks_of_the_sdk(types: Any) -> list[Any]:
    inner = types.tool_result_block_param.Content
    return [*members(types.ContentBlockParam), *members(inner)]


def test_every_type_of_block_that_the_sdk_can_send_has_a_rule_or_is_refused_by_name(types):
    kinds = {kind for member in _blocks_of_the_sdk(types) for kind in literals(member, "type")}
    assert kinds == RULED_KINDS | UNRULED_KINDS
    assert not RULED_KINDS & UNRULED_KINDS


def test_every_field_of_a_block_with_a_rule_is_known(types):
    known = [m for m in _blocks_of_the_sdk(types) if literals(m, "type") <= RULED_KINDS]
    assert set().union(*map(keys, known)) == BLOCK_FIELDS


def test_every_field_of_a_message_that_the_sdk_can_send_is_known(types):
    assert set().union(*map(keys, members(types.MessageParam))) == {"role", "content"}


def test_every_type_of_tool_that_the_sdk_can_send_has_a_rule_or_is_refused_by_name(types):
    tools = members(types.ToolUnionParam)
    kinds = {kind for tool in tools for kind in literals(tool, "type")}
    assert set(CLIENT_TOOLS) < kinds
    for kind in kinds:
        expected = () if kind in CLIENT_TOOLS else (f"tools[].type={kind}",)
        assert costs(tools=[{"type": kind, "name": "t"}]).unruled == expected


def test_every_field_of_a_tool_with_a_rule_is_known(types):
    tools = [t for t in members(types.ToolUnionParam) if literals(t, "type") <= set(CLIENT_TOOLS)]
    assert set().union(*map(keys, tools)) == TOOL_FIELDS


def test_every_tier_and_speed_of_the_sdk_is_cheap_or_refused_by_name(types):
    params = types.message_create_params.MessageCreateParamsBase
    for name in ("service_tier", "speed"):
        for value in literals(params, name):
            expected = () if value in CHEAP[name] else (f"{name}={value}",)
            assert costs(**{name: value}).unruled == expected


def test_every_field_of_the_output_config_has_a_rule(types):
    assert keys(types.OutputConfigParam) == OUTPUT_FIELDS


# --- fields ------------------------------------------------------------------------------------


def test_a_plain_call_costs_the_bytes_of_its_messages_and_nothing_has_no_rule():
    found = costs(
        temperature=0.5,
        metadata={"user_id": "u"},
        stop_sequences=["x"],
        thinking={"type": "enabled", "budget_tokens": 1024},
        cache_control=EPHEMERAL,
        service_tier="auto",
        speed="standard",
        inference_geo="global",
    )
    assert found == CallCosts(
        text_bytes=size(HELLO), max_output=5, service_tier="auto", names=found.names
    )


@pytest.mark.parametrize("name", [n for n, rule in FIELDS.items() if rule is Rule.NONE])
def test_a_field_without_a_price_is_named(name):
    assert costs(**{name: {"a": 1}}).unruled == (name,)


def test_an_unknown_field_is_named_and_its_bytes_count_should_it_be_declared_free():
    servers = [{"type": "url", "url": "https://example.com"}]
    found = costs(mcp_servers=servers)
    assert found.unruled == ("mcp_servers",)
    assert found.text_bytes == size(HELLO) + size(servers)


@pytest.mark.parametrize(
    "name", [*FIELDS.keys() - {"messages", "model", "max_tokens"}, "unheard_of"]
)
def test_null_is_as_if_the_field_were_not_there(name):
    assert costs(**{name: None}) == costs()


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("speed", "fast", "speed=fast"),
        ("inference_geo", "us", "inference_geo=us"),
        ("service_tier", "priority", "service_tier=priority"),
        ("speed", 7, "speed"),
        ("output_config", {"task_budget": {}}, "output_config.task_budget"),
        ("output_config", [], "output_config"),
        ("container", "c_1", "container"),
    ],
)
def test_what_may_cost_more_than_the_listed_price_is_named(field, value, name):
    assert costs(**{field: value}).unruled == (name,)


def test_a_limit_of_zero_writes_nothing_and_is_no_limit():
    found = costs(max_tokens=0)
    assert (found.max_output, found.no_output) == (None, True)
    assert costs(max_tokens=7).max_output == 7


def test_a_system_prompt_counts_by_its_bytes():
    system = [{"type": "text", "text": "be brief", "cache_control": EPHEMERAL}]
    assert costs(system=system).text_bytes == size(HELLO) + size(system)
    assert costs(system="be brief").text_bytes == size(HELLO) + size("be brief")
    assert costs(system=[{"type": "image", "source": PNG}]).images == 1
    assert costs(system=7).unruled == ("system",)


def test_schemas_count_by_their_bytes_and_thrice_where_a_provider_may_escape_them():
    config = {"format": {"type": "json_schema", "schema": {"x": "e" * 100}}, "effort": "low"}
    assert costs(output_config=config).text_bytes == size(HELLO) + size(config)
    body = '{"model":"m","max_tokens":1,"messages":[],"tools":[{"name":"é"}]}'.encode()
    assert costs_of(body).text_bytes == len("[]") + 3 * len('[{"name":"é"}]'.encode())


def test_tools_of_the_caller_count_by_their_bytes():
    tools = [
        {"name": "f", "input_schema": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "g", "input_schema": {}, "cache_control": EPHEMERAL},
        {"type": None, "name": "h", "input_schema": {}, "input_examples": [{}]},
    ]
    found = costs(tools=tools)
    assert found.text_bytes == size(HELLO) + size(tools)
    assert found.tools
    assert found.unruled == ()


def test_a_tool_of_anthropics_that_the_caller_runs_has_room_for_its_explanation():
    tools = [{"type": "bash_20250124", "name": "bash"}]
    assert costs(tools=tools).text_bytes == size(HELLO) + size(tools) + 1_024


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([{"type": "web_search_20260318"}], ("tools[].type=web_search_20260318",)),
        ([{"name": "f", "container": 1}], ("tools[].container",)),
        ([{"type": 7}], ("tools[].type",)),
        ([1], ("tools[]",)),
        ("x", ("tools",)),
    ],
)
def test_tools_that_a_provider_may_run_are_named(tools, names):
    found = costs(tools=tools)
    assert found.unruled == names
    assert found.web_search is names[0].startswith("tools[].type=web_search")


def test_a_tool_cannot_hide_behind_a_second_type():
    body = b'{"model":"m","max_tokens":1,"messages":[],"tools":[{"type":"web","type":"custom"}]}'
    with pytest.raises(InvalidRequest) as caught:
        costs_of(body)
    assert caught.value.param == "tools"


# --- messages ----------------------------------------------------------------------------------

CONVERSATION = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello \U0001f600"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "a", "citations": None},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": {}}, "caller": None},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "b", "cache_control": EPHEMERAL}],
                "is_error": False,
            },
            {"type": "tool_result", "tool_use_id": "u", "content": "c"},
            {"type": "text", "text": "c", "cache_control": EPHEMERAL},
        ],
    },
]


def test_a_conversation_of_texts_and_tools_has_no_names():
    expected = CallCosts(text_bytes=size(CONVERSATION), max_output=5, names=NAMES)
    assert costs(CONVERSATION) == expected
    # Read object by object it comes to the same.
    image = {"role": "user", "content": [{"type": "image", "source": PNG}]}
    slow = costs([*CONVERSATION, image])
    assert slow.text_bytes == size([*CONVERSATION, image]) - len(PNG["data"])
    assert (slow.images, slow.unruled) == (1, ())


@pytest.mark.parametrize(
    ("block", "images", "files"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://e.com"}}, 1, 0),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, 1, 0),
        ({"type": "image", "source": {**PNG, "media_type": "application/pdf"}}, 0, 1),
        ({"type": "document", "source": {"type": "base64", "data": "A"}}, 0, 1),
        ({"type": "document", "source": {"type": "url", "url": "https://e.com"}}, 0, 1),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, 0, 1),
        ({"type": "document", "source": {"type": "text", "data": "plain"}}, 0, 0),
        ({"type": "document", "source": {"type": "content", "content": "plain"}}, 0, 0),
        (
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [{"type": "text", "text": "x"}],
                "citations": {"enabled": True},
            },
            0,
            0,
        ),
    ],
)
def test_pictures_count_by_the_piece_files_by_the_window_and_texts_by_their_bytes(
    block, images, files
):
    found = blocks(block)
    assert (found.images, found.files, found.unruled) == (images, files, ())
    assert found.text_bytes == size([{"role": "user", "content": [block]}])
    inside = blocks({"type": "tool_result", "tool_use_id": "t", "content": [block]})
    assert (inside.images, inside.files, inside.unruled) == (images, files, ())


def test_the_data_of_an_image_is_not_text_wherever_it_stands():
    image = {"type": "image", "source": PNG}
    document = {"type": "document", "source": {"type": "content", "content": [image]}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, document]}
    found = blocks({"type": "text", "text": "what is it?"}, image, result)
    assert found.images == 3
    assert found.text_bytes < 700
    assert found.unruled == ()


@pytest.mark.parametrize(
    ("block", "name"),
    [
        *[
            ({"type": kind}, f"messages[].content[].type={kind}"[:80])
            for kind in sorted(UNRULED_KINDS)
        ],
        ({"type": "video"}, "messages[].content[].type=video"),
        ({"type": "text", "text": "a", "video": "b"}, "messages[].content[].video"),
        ({"text": "a"}, "messages[].content[]"),
        ("a", "messages[].content[]"),
        ({"type": None}, "messages[].content[]"),
        ({"type": "image"}, "messages[].content[].source.type=None"),
        ({"type": "document", "source": {"type": "x"}}, "messages[].content[].source.type=x"),
        ({"type": "tool_result", "content": 7}, "messages[].content[].content"),
        (
            {"type": "tool_result", "content": [{"type": "tool_reference"}]},
            "messages[].content[].type=tool_reference",
        ),
    ],
)
def test_what_has_no_rule_is_named(block, name):
    assert blocks(block, {"type": "image", "source": PNG}).unruled == (name,)


def test_an_unknown_field_of_a_message_is_named_unless_it_is_null():
    assert costs([{"role": "user", "content": "", "images": []}]).unruled == ("messages[].images",)
    assert costs([{"role": "user", "content": "", "images": None}]).unruled == ()


@pytest.mark.parametrize("messages", [{}, "x", 7, [7], [[]]])
def test_messages_of_another_shape_are_named(messages):
    assert costs(messages).unruled == ("messages",)


IMAGE = '{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}'
DATA = "A" * 999


@pytest.mark.parametrize(
    "message",
    [
        # Whichever of two equal keys a provider heeds, there may be an image.
        f'{{"role":"user","content":[{IMAGE}],"content":"x"}}',
        f'{{"role":"user","content":[{IMAGE}],"c\\u006fntent":"x"}}',
        '{"role":"user","content":[{"type":"video","type":"text","text":"x"}]}',
        (
            f'{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","data":"{DATA}",'
            f'"data":"A"}}}}]}}'
        ),
        (
            f'{{"role":"user","content":[{{"type":"image","source":{{"type":"url","url":"{DATA}"}},'
            '"source":{"type":"url","url":"x"}}]}'
        ),
    ],
)
def test_a_key_that_occurs_twice_and_could_hide_a_cost_is_refused(message):
    with pytest.raises(InvalidRequest) as caught:
        raw_messages(f"[{message}]")
    assert caught.value.param == "messages"


def test_a_key_that_occurs_twice_among_texts_hides_nothing():
    found = raw_block('{"type":"text","type":"thinking","text":"x","text":"y"}')
    assert found.unruled == ()


def test_a_very_large_image_is_read_without_a_limit():
    image = {"type": "image", "source": {**PNG, "data": "A" * 12_000_000}}
    found = blocks(image)
    assert (found.images, found.unruled) == (1, ())
    assert found.text_bytes < 200


def test_deep_nesting_is_refused_not_followed():
    inner = '{"type":"text","text":"x"}'
    for _ in range(400):
        inner = f'{{"type":"tool_result","tool_use_id":"t","content":[{inner}]}}'
    assert raw_block(inner).unruled
    deep = "[" * 50_000 + "]" * 50_000
    request = ANTHROPIC.decode_request(b'{"model":"m","max_tokens":1,"messages":[]}')
    fields = {**request.fields, "messages": msgspec.Raw(deep.encode())}
    found = ANTHROPIC.read_costs(msgspec.structs.replace(request, fields=fields))
    assert found.unruled == ("messages",)


def test_half_characters_cost_their_bytes():
    text = '{"type":"text","text":"\\ud83d"}'
    assert raw_block(text).unruled == ()
    found = raw_block(f'{text},{{"type":"image","source":{json.dumps(PNG)}}}')
    assert (found.images, found.unruled) == (1, ())
    assert found.text_bytes < 300


# --- exact counting ----------------------------------------------------------------------------


def test_the_texts_of_system_and_messages_are_counted_and_the_rest_by_its_bytes():
    body = {
        "model": "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "be brief"}],
        "messages": CONVERSATION,
    }
    request = ANTHROPIC.decode_request(json.dumps(body).encode())
    found = ANTHROPIC.read_costs(request)
    prompt = ANTHROPIC.prompt_texts(request, found)
    assert prompt.texts == ("be brief", "be brief", "hello \U0001f600", "a", "c", "c")
    assert prompt.messages == 5
    assert prompt.all_bytes == found.text_bytes
    assert 0 < prompt.other_bytes < found.text_bytes


def test_messages_of_another_shape_count_by_their_bytes():
    request = ANTHROPIC.decode_request(b'{"model":"m","max_tokens":5,"messages":"text"}')
    prompt = ANTHROPIC.prompt_texts(request, ANTHROPIC.read_costs(request))
    assert (prompt.texts, prompt.messages, prompt.other_bytes) == ((), 0, 6)
