"""What of a chat completion bears on its cost: nothing that may cost something is passed over."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from torana.dialects import costs as cost_values
from torana.dialects.costs import AND_MORE, CallCosts
from torana.dialects.openai_chat import messages as openai_chat_messages
from torana.dialects.openai_chat.costs import read_costs
from torana.dialects.openai_chat.requests import decode_request
from torana.dialects.openai_chat.rules import (
    EXTENSIONS,
    FIELDS,
    PART_TYPES,
    TIERS,
    TOOL_TYPES,
    Rule,
)
from torana.errors import InvalidRequest

DOCS = Path(__file__).parents[3] / "docs" / "bounds.md"
PNG = "data:image/png;base64," + "A" * 10_000
HELLO = [{"role": "user", "content": "hello"}]


def costs_of(body: bytes) -> CallCosts:
    return read_costs(decode_request(body))


def costs(messages: Any = None, **fields: Any) -> CallCosts:
    body = {"model": "m", "messages": HELLO if messages is None else messages, **fields}
    return costs_of(json.dumps(body, separators=(",", ":")).encode())


def parts(*content: Any) -> CallCosts:
    return costs([{"role": "user", "content": list(content)}])


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def raw_messages(messages: str) -> CallCosts:
    return costs_of(b'{"model":"m","messages":' + messages.encode() + b"}")


# --- the tables and the SDK --------------------------------------------------------------------


@pytest.fixture(scope="module")
def chat():
    from openai.types import chat

    return chat


def keys(typed_dict: Any) -> set[str]:
    return set(get_type_hints(typed_dict))


def literal(typed_dict: Any, key: str) -> set[str]:
    annotation = get_type_hints(typed_dict)[key]
    while get_origin(annotation) is not Literal:
        (annotation,) = get_args(annotation)
    return set(get_args(annotation))


def test_every_field_that_the_sdk_can_send_is_in_the_table_and_no_other(chat):
    params = chat.completion_create_params
    sent = keys(params.CompletionCreateParamsBase) | keys(params.CompletionCreateParamsStreaming)
    assert set(FIELDS) == sent
    assert not set(EXTENSIONS) & set(FIELDS)


def test_every_type_of_part_that_the_sdk_can_send_has_a_rule(chat):
    members = set(get_args(chat.ChatCompletionContentPartParam))
    members.add(chat.ChatCompletionContentPartRefusalParam)
    assert {kind for member in members for kind in literal(member, "type")} == PART_TYPES
    known = set(openai_chat_messages._Part.__struct_fields__)
    assert set().union(*map(keys, members)) <= known


def test_every_type_of_tool_that_the_sdk_can_send_has_a_rule(chat):
    members = get_args(chat.ChatCompletionToolUnionParam)
    assert {kind for member in members for kind in literal(member, "type")} == TOOL_TYPES


def test_every_field_of_a_message_that_the_sdk_can_send_is_known(chat):
    fields = set().union(*map(keys, get_args(chat.ChatCompletionMessageParam)))
    text = set(openai_chat_messages._TextMessage.__struct_fields__)
    assert fields <= text
    assert text == set(openai_chat_messages._MediaMessage.__struct_fields__)


def test_every_tier_of_the_sdk_is_cheap_or_refused_by_name(chat):
    params = chat.completion_create_params.CompletionCreateParamsBase
    (optional,) = [
        a for a in get_args(get_type_hints(params)["service_tier"]) if a is not type(None)
    ]
    for tier in get_args(optional):
        expected = () if tier in TIERS else (f"service_tier={tier}",)
        assert costs(service_tier=tier).unruled == expected


def test_the_documentation_states_the_rule_of_every_field():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == {name: str(rule) for name, rule in {**FIELDS, **EXTENSIONS}.items()}


# --- fields ------------------------------------------------------------------------------------


def test_a_plain_call_costs_the_bytes_of_its_messages_and_nothing_has_no_rule():
    assert costs(temperature=0.5, user="u", metadata={"a": "b"}, stop=["x"]) == CallCosts(
        text_bytes=size(HELLO)
    )


@pytest.mark.parametrize("name", [n for n, rule in FIELDS.items() if rule is Rule.NONE])
def test_a_field_without_a_price_is_named(name):
    found = costs(**{name: {"a": 1}})
    assert found.unruled == (name,)
    assert found.web_search is (name == "web_search_options")


def test_an_unknown_field_is_named_and_its_bytes_count_should_it_be_declared_free():
    found = costs(plugins=[{"id": "web"}])
    assert found.unruled == ("plugins",)
    assert found.text_bytes == size(HELLO) + size([{"id": "web"}])


@pytest.mark.parametrize("name", [*FIELDS.keys() - {"messages", "model"}, "unheard_of"])
def test_null_is_as_if_the_field_were_not_there(name):
    assert costs(**{name: None}) == costs()


def test_limits_and_choices_come_along():
    found = costs(n=3, max_tokens=7)
    assert (found.choices, found.max_output) == (3, 7)


def test_a_limit_of_zero_is_no_limit_because_some_servers_take_it_for_absent():
    assert costs(max_tokens=0).max_output is None


def test_schemas_count_by_their_bytes_and_thrice_where_a_provider_may_escape_them():
    plain = {"type": "json_object", "x": "e" * 100}
    assert costs(response_format=plain).text_bytes == size(HELLO) + size(plain)
    body = '{"model":"m","messages":[],"response_format":{"x":"é"}}'.encode()
    assert costs_of(body).text_bytes == len("[]") + 3 * len('{"x":"é"}'.encode())


def test_tools_of_the_caller_count_by_their_bytes():
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "c"}},
    ]
    found = costs(tools=tools)
    assert found.text_bytes == size(HELLO) + size(tools)
    assert found.tools
    assert found.unruled == ()
    assert costs(functions=[{"name": "f"}]).tools


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([{"type": "web_search"}], ("tools[].type=web_search",)),
        ([{"type": "function", "function": {}, "container": 1}], ("tools[].container",)),
        ([{"function": {}}], ("tools[].type",)),
        ([{"type": 7}], ("tools[].type",)),
        ([1], ("tools",)),
        ("x", ("tools",)),
    ],
)
def test_tools_that_a_provider_may_run_are_named(tools, names):
    assert costs(tools=tools).unruled == names


def test_a_tool_cannot_hide_behind_a_second_type():
    body = b'{"model":"m","messages":[],"tools":[{"type":"web_search","type":"function"}]}'
    with pytest.raises(InvalidRequest, match="'type' occurs twice") as caught:
        costs_of(body)
    assert (caught.value.status, caught.value.param) == (400, "tools")


@pytest.mark.parametrize(
    ("modalities", "audio_out", "names"),
    [
        (["text"], False, ()),
        (["text", "audio"], True, ()),
        (["image", "text"], False, ("modalities=image",)),
        ("audio", False, ("modalities",)),
    ],
)
def test_modalities_other_than_text_and_audio_are_named(modalities, audio_out, names):
    found = costs(modalities=modalities)
    assert (found.audio_out, found.unruled) == (audio_out, names)


def test_a_voice_asks_for_audio():
    assert costs(audio={"voice": "alloy", "format": "mp3"}).audio_out


def test_a_prediction_counts_by_its_bytes_apart_from_the_prompt():
    prediction = {"type": "content", "content": "x" * 50}
    found = costs(prediction=prediction)
    assert found.prediction_bytes == size(prediction)
    assert found.text_bytes == size(HELLO)


@pytest.mark.parametrize("tier", [7, ["auto"], {}])
def test_a_tier_that_is_no_text_is_named(tier):
    assert costs(service_tier=tier).unruled == ("service_tier",)


def test_a_long_list_of_names_is_cut_and_says_so_in_a_way_that_nobody_can_declare_free():
    found = costs(**{f"field_{n}": 1 for n in range(100)})
    assert len(found.unruled) == 17
    assert found.unruled[-1] == AND_MORE


def test_a_long_name_is_cut():
    assert costs(**{"x" * 5_000: 1}).unruled == ("x" * 80,)


# --- messages ----------------------------------------------------------------------------------


def test_a_conversation_of_texts_and_tool_calls_has_no_names():
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "user", "name": "ann", "content": "hello \U0001f600"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "audio": None,
            "annotations": [],
            "function_call": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "content"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    assert costs(messages) == CallCosts(text_bytes=size(messages))


def test_an_images_data_is_not_text():
    image = {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}
    found = parts({"type": "text", "text": "what is it?"}, image, image)
    assert found.images == 2
    assert found.text_bytes < 400
    assert found.unruled == ()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/" + "x" * 1_000}},
        {"type": "image_url", "image_url": "https://example.com/" + "x" * 1_000},
        {"type": "image_url"},
    ],
)
def test_the_address_of_an_image_is_text(part):
    found = parts(part)
    assert found.images == 1
    assert found.text_bytes == size([{"role": "user", "content": [part]}])


def test_an_images_data_with_escaped_slashes_or_as_a_bare_url_is_not_text_either():
    escaped = json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}])
    assert raw_messages(escaped).text_bytes < 150
    nested = json.dumps(
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]
    )
    assert raw_messages(nested.replace("/png", "\\/png")).text_bytes < 150


def test_a_document_in_the_clothes_of_an_image_is_a_file():
    url = "DATA:application/pdf;base64," + "A" * 5_000
    found = parts({"type": "image_url", "image_url": {"url": url}})
    assert (found.images, found.files) == (0, 1)
    assert found.text_bytes > 5_000


def test_audio_and_files_are_counted_and_named_by_nothing():
    found = parts(
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
    )
    assert (found.audio_in, found.files, found.unruled) == (True, 2, ())


def test_an_earlier_answer_in_audio_is_audio():
    found = costs([{"role": "assistant", "audio": {"id": "audio_1"}}])
    assert (found.audio_in, found.unruled) == (True, ())


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "video_url", "video_url": {}}, "messages[].content[].type=video_url"),
        ({"type": "text", "text": "a", "video": "b"}, "messages[].content[].video"),
        ({"text": "a"}, "messages[].content[]"),
        ("a", "messages[].content[]"),
        ({"type": None}, "messages[].content[]"),
    ],
)
def test_an_unknown_part_is_named(part, name):
    assert parts(part, {"type": "image_url", "image_url": {"url": PNG}}).unruled == (name,)


def test_what_is_known_beside_an_unknown_part_still_counts():
    found = parts(
        {"type": "video_url"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "input_audio", "input_audio": {}},
        {"type": "file", "file": {}},
    )
    assert (found.images, found.audio_in, found.files) == (1, True, 1)
    assert found.text_bytes < 400


def test_an_unknown_field_of_a_message_is_named_unless_it_is_null():
    assert costs([{"role": "user", "content": "", "images": []}]).unruled == ("messages[].images",)
    assert costs([{"role": "user", "content": "", "images": None}]).unruled == ()


@pytest.mark.parametrize("messages", [{}, "x", 7, [7], [[]]])
def test_messages_of_another_shape_are_named(messages):
    assert costs(messages).unruled == ("messages",)


def test_content_of_another_shape_is_named():
    assert costs([{"role": "user", "content": {"a": 1}}]).unruled == ("messages[].content",)


IMAGE_PART = '{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}'


@pytest.mark.parametrize(
    "message",
    [
        # Whichever of two equal keys a provider heeds, there may be an image.
        f'{{"role":"user","content":[{IMAGE_PART}],"content":"x"}}',
        f'{{"role":"user","content":[{IMAGE_PART}],"c\\u006fntent":"x"}}',
        f'{{"role":"user","content":[{IMAGE_PART}],"content":[{{"type":"text","text":"x"}}]}}',
        '{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"},"image_url":null}]}',
        '{"role":"assistant","audio":{"id":"a"},"audio":null}',
        '{"role":"user","content":[{"type":"video","type":"text","text":"x"}]}',
    ],
)
def test_a_part_cannot_hide_behind_an_equal_key(message):
    with pytest.raises(InvalidRequest, match="occurs twice") as caught:
        raw_messages(f"[{message}]")
    assert (caught.value.status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize(
    "part",
    [
        '{"type":"image_url","type":"text","text":"x","image_url":{"url":"x"}}',
        '{"type":"text","type":"image_url"}',
        '{"type":"text","text":"x","image_url":{"url":"x"}}',
    ],
)
def test_an_image_counts_by_its_key_or_its_type(part):
    assert raw_messages(f'[{{"role":"user","content":[{part}]}}]').images == 1


def test_the_data_of_an_image_hides_no_text_behind_an_equal_key():
    part = f'{{"type":"image_url","image_url":{{"url":"https://example.com/{"x" * 999}","url":"{PNG}"}}}}'
    found = raw_messages(f'[{{"role":"user","content":[{part}]}}]')
    assert found.text_bytes >= 999 or found.unruled


def test_texts_that_look_like_keys_only_cost_a_second_look():
    found = parts(
        {"type": "text", "text": "content"},
        {"type": "text", "text": '"content" \\u0061'},
        {"type": "image_url", "image_url": {"url": PNG}},
    )
    assert (found.images, found.unruled) == (1, ())


def test_odd_messages_that_are_too_long_to_look_into_are_refused_as_a_whole(monkeypatch):
    monkeypatch.setattr(cost_values, "MAX_ODD_BYTES", 100)
    assert costs([{"role": "user", "content": "x" * 200, "odd": 1}]).unruled == ("messages",)


def test_deep_nesting_is_refused_not_followed():
    deep = "[" * 50_000 + "]" * 50_000
    request = decode_request(b'{"model":"m","messages":[]}')
    fields = {**request.fields, "messages": msgspec.Raw(deep.encode())}
    assert read_costs(msgspec.structs.replace(request, fields=fields)).unruled == ("messages",)
