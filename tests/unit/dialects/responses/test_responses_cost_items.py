"""What of the input of a Responses request bears on its cost, and its exact counting."""

from __future__ import annotations

import json
import typing
from typing import Any

import msgspec
import pytest

from torana.dialects import costs as common
from torana.dialects.costs import CallCosts
from torana.dialects.openai_responses.costs import NAMES, prompt_texts, read_costs
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.openai_responses.rules import (
    ITEMS,
    ItemRule,
)
from torana.errors import InvalidRequest

PNG = "data:image/png;base64," + "A" * 10_000
HELLO = [{"role": "user", "content": "hello"}]


def costs_of(body: bytes) -> CallCosts:
    return read_costs(decode_request(body))


def costs(items: Any = None, **fields: Any) -> CallCosts:
    body = {"model": "m", "input": HELLO if items is None else items, **fields}
    return costs_of(json.dumps(body, separators=(",", ":")).encode())


def parts(*content: Any) -> CallCosts:
    return costs([{"role": "user", "content": list(content)}])


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def raw_items(items: str) -> CallCosts:
    return costs_of(b'{"model":"m","input":' + items.encode() + b"}")


# --- items -------------------------------------------------------------------------------------


def test_a_conversation_of_texts_and_tool_calls_has_no_names():
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "be brief"}]},
        {"type": "message", "role": "user", "content": "hello \U0001f600"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": None,
            "content": [{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "content"},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        {
            "type": "custom_tool_call_output",
            "call_id": "d",
            "output": [{"type": "input_text", "text": "y"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}},
    ]
    assert costs(items) == CallCosts(text_bytes=size(items), names=NAMES)


@pytest.mark.parametrize("kind", [k for k, rule in ITEMS.items() if rule is ItemRule.UNSEEN])
def test_an_item_that_stands_for_more_is_a_prompt_that_nobody_sees(kind):
    found = costs([{"type": kind, "id": "x"}])
    assert (found.unseen_prompt, found.images, found.unruled) == (True, 0, ())


@pytest.mark.parametrize("kind", [k for k, rule in ITEMS.items() if rule is ItemRule.IMAGE])
def test_an_item_that_is_a_picture_is_counted_as_one(kind):
    found = costs([{"type": kind, "id": "x", "result": "AAAA"}])
    assert (found.unseen_prompt, found.images, found.unruled) == (True, 1, ())


@pytest.mark.parametrize("kind", [k for k, rule in ITEMS.items() if rule is ItemRule.NONE])
def test_an_item_that_may_start_something_is_named(kind):
    assert costs([{"type": kind}]).unruled == (f"input[].type={kind}",)


def test_an_unknown_item_is_named():
    assert costs([{"type": "video"}]).unruled == ("input[].type=video",)
    assert costs([{"type": 7}]).unruled == ("input[].type",)


@pytest.mark.parametrize("item", [{"id": "msg_1"}, {"type": None, "id": "msg_1"}])
def test_an_item_of_nothing_but_an_id_is_a_reference(item):
    assert costs([item]).unseen_prompt


def test_reasoning_without_its_content_is_looked_up_by_the_provider():
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert costs([item]).unseen_prompt
    assert costs([{**item, "encrypted_content": None}]).unseen_prompt
    assert not costs([{**item, "encrypted_content": "AAAA"}]).unseen_prompt


def test_reasoning_cannot_hide_that_its_content_is_missing_behind_an_equal_key():
    item = '{"type":"reasoning","id":"rs_1","encrypted_content":null,"encrypted_content":"A"}'
    with pytest.raises(InvalidRequest):
        raw_items(f"[{item}]")


def test_an_unknown_field_of_an_item_is_named_unless_it_is_null():
    assert costs([{"role": "user", "content": "", "images": []}]).unruled == ("input[].images",)
    assert costs([{"role": "user", "content": "", "images": None}]).unruled == ()


@pytest.mark.parametrize("items", [{}, 7, [7], [[]]])
def test_an_input_of_another_shape_is_named(items):
    assert costs(items).unruled == ("input",)


def test_content_of_another_shape_is_named():
    assert costs([{"role": "user", "content": {"a": 1}}]).unruled == ("input[].content",)


# --- images, files, audio ----------------------------------------------------------------------


def test_an_images_data_is_not_text():
    image = {"type": "input_image", "image_url": PNG, "detail": "high"}
    found = parts({"type": "input_text", "text": "what is it?"}, image, image)
    assert found.images == 2
    assert found.text_bytes < 400
    assert found.unruled == ()


def test_an_image_in_the_result_of_a_tool_is_an_image():
    image = {"type": "input_image", "image_url": PNG}
    found = costs([{"type": "function_call_output", "call_id": "c", "output": [image]}])
    assert (found.images, found.unruled) == (1, ())
    assert found.text_bytes < 200


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "https://example.com/" + "x" * 1_000},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_image"},
    ],
)
def test_the_address_of_an_image_is_text(part):
    found = parts(part)
    assert (found.images, found.files, found.unruled) == (1, 0, ())
    assert found.text_bytes == size([{"role": "user", "content": [part]}])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA", "detail": "low"},
        {"type": "input_image", "image_url": "DATA:application/pdf;base64,AAAA"},
    ],
)
def test_a_file_fills_the_window(part):
    found = parts(part)
    assert (found.files, found.images, found.unruled) == (1, 0, ())


def test_audio_is_counted():
    found = parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})
    assert (found.audio_in, found.unruled) == (True, ())


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "video", "video": {}}, "input[].content[].type=video"),
        ({"type": "input_text", "text": "a", "video": "b"}, "input[].content[].video"),
        ({"text": "a"}, "input[].content[]"),
        ("a", "input[].content[]"),
        ({"type": None}, "input[].content[]"),
    ],
)
def test_an_unknown_part_is_named_and_what_is_known_beside_it_counts(part, name):
    found = parts(part, {"type": "input_image", "image_url": PNG}, {"type": "input_file"})
    assert found.unruled == (name,)
    assert (found.images, found.files) == (1, 1)
    assert found.text_bytes < 400


IMAGE_PART = '{"type":"input_image","image_url":"https://example.com/a.png"}'


@pytest.mark.parametrize(
    "item",
    [
        # Whichever of two equal keys a provider heeds, there may be an image or a file.
        f'{{"role":"user","content":[{IMAGE_PART}],"content":"x"}}',
        f'{{"role":"user","content":[{IMAGE_PART}],"c\\u006fntent":"x"}}',
        f'{{"role":"user","content":[{IMAGE_PART}],"content":[{{"type":"input_text","text":"x"}}]}}',
        f'{{"type":"function_call_output","output":[{IMAGE_PART}],"output":"x"}}',
        '{"type":"item_reference","type":"message","role":"user","content":"x"}',
        '{"role":"user","content":[{"type":"video","type":"input_text","text":"x"}]}',
        '{"role":"user","content":[{"type":"input_file","type":"input_image","file_id":"x"}]}',
    ],
)
def test_a_duplicate_of_a_key_that_is_priced_is_refused(item):
    with pytest.raises(InvalidRequest) as caught:
        raw_items(f"[{item}]")
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "part",
    [
        '{"type":"input_image","type":"input_text","text":"x","image_url":"x"}',
        '{"type":"input_text","type":"input_image"}',
        '{"type":"input_text","text":"x","image_url":"x"}',
    ],
)
def test_an_image_counts_by_its_key_or_its_type(part):
    assert raw_items(f'[{{"role":"user","content":[{part}]}}]').images == 1


def test_the_data_of_an_image_hides_no_text_behind_an_equal_key():
    part = f'{{"type":"input_image","image_url":"https://example.com/{"x" * 999}","image_url":"{PNG}"}}'
    assert raw_items(f'[{{"role":"user","content":[{part}]}}]').text_bytes >= 999


def test_texts_that_look_like_keys_only_cost_a_second_look():
    found = parts(
        {"type": "input_text", "text": "content"},
        {"type": "input_text", "text": '"content" \\u0061'},
        {"type": "input_image", "image_url": PNG},
    )
    assert (found.images, found.unruled) == (1, ())


def test_odd_items_that_are_too_long_to_look_into_are_refused_as_a_whole(monkeypatch):
    monkeypatch.setattr(common, "MAX_ODD_BYTES", 100)
    assert costs([{"role": "user", "content": "x" * 200, "odd": 1}]).unruled == ("input",)


def test_deep_nesting_is_refused_not_followed():
    deep = "[" * 50_000 + "]" * 50_000
    request = decode_request(b'{"model":"m","input":[]}')
    fields = {**request.fields, "input": msgspec.Raw(deep.encode())}
    assert read_costs(msgspec.structs.replace(request, fields=fields)).unruled == ("input",)


# --- exact counting ----------------------------------------------------------------------------


def counted(**fields: Any) -> typing.Any:
    request = decode_request(json.dumps({"model": "m", **fields}, separators=(",", ":")).encode())
    return prompt_texts(request, read_costs(request))


def test_the_texts_of_a_prompt_are_its_instructions_and_its_contents():
    items = [
        {"role": "user", "content": "hello"},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "you"}, {"type": "input_file"}],
        },
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    found = counted(instructions="be brief", input=items, tools=[{"type": "function", "name": "f"}])
    assert found.texts == ("be brief", "hello", "you", "done")
    assert found.messages == 5
    assert 0 < found.other_bytes < found.all_bytes


def test_an_input_of_one_text_is_one_message():
    found = counted(input="hello")
    assert (found.texts, found.messages, found.other_bytes) == (("hello",), 1, 0)


def test_a_prompt_that_the_provider_keeps_has_no_texts():
    found = counted(previous_response_id="resp_1")
    assert (found.texts, found.messages, found.all_bytes) == ((), 0, 0)
