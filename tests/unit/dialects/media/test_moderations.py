"""Moderations: what is read of requests and answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import ModerationCreateParams

from torana.core.usage import Usage
from torana.dialects.media import Form
from torana.dialects.openai_moderations import FIELDS, OPENAI_MODERATIONS
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage


def ask(value: Any, **fields: Any) -> WireRequest:
    body = json.dumps({"input": value, **fields}, separators=(",", ":"))
    return OPENAI_MODERATIONS.decode_request(body.encode())


def test_the_table_has_every_field_of_the_sdk():
    assert set(ModerationCreateParams.__annotations__) == set(FIELDS)


def test_without_a_model_it_is_openais_latest():
    request = ask("hello")
    assert request.model == "omni-moderation-latest"
    assert OPENAI_MODERATIONS.encode_upstream(request, model="theirs") == (
        b'{"input":"hello","model":"theirs"}'
    )
    assert ask("hello", model="m").model == "m"
    assert (OPENAI_MODERATIONS.form(request), request.stream) == (Form.JSON, False)


@pytest.mark.parametrize("value", [None, 5, [5], {"text": "a"}])
def test_what_is_no_input_is_refused(value):
    with pytest.raises(InvalidRequest) as caught:
        ask(value)
    assert caught.value.param == "input"


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1000}}


@pytest.mark.parametrize(
    ("value", "size", "images", "unruled"),
    [
        ("abc", 5, 0, ()),
        (["ab", "c"], 10, 0, ()),
        ([{"type": "text", "text": "abc"}, IMAGE, IMAGE], 3, 2, ()),
        ([{"type": "video"}], 18, 0, ("input[].type=video",)),
        (["a", IMAGE], len(json.dumps(["a", IMAGE], separators=(",", ":"))), 0, ("input",)),
    ],
)
def test_texts_count_by_bytes_and_images_by_the_piece(value, size, images, unruled):
    costs = OPENAI_MODERATIONS.read_costs(ask(value))
    assert (costs.text_bytes, costs.images, costs.unruled) == (size, images, unruled)
    assert costs.names.image == "input[].type=image_url"


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, None),
        ({"usage": {"prompt_tokens": 7, "total_tokens": 9}}, Usage(input_tokens=7)),
        ({"usage": {"total_tokens": 9}}, Usage(input_tokens=9)),
        ({"usage": {}}, None),
        ({"usage": {"prompt_tokens": "many"}}, None),
    ],
)
def test_a_usage_is_read_where_there_is_one(told, usage):
    body = json.dumps({"id": "m", "model": "theirs", "results": [], **told}).encode()
    assert OPENAI_MODERATIONS.decode_answer(body).usage == usage
    renamed = OPENAI_MODERATIONS.decode_answer(body, model="asked")
    assert json.loads(renamed.body)["model"] == "asked"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"results":5}', b"\xff"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_MODERATIONS.decode_answer(body)


def test_an_error_in_the_clothes_of_an_answer_is_one():
    with pytest.raises(UpstreamError):
        OPENAI_MODERATIONS.decode_answer(b'{"error":{},"results":[]}')


def test_there_is_no_stream():
    with pytest.raises(InvalidRequest):
        OPENAI_MODERATIONS.fold(ask("a"), request_id="req_1")
