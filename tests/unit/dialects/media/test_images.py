"""Images: what is read of requests and answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types import image_edit_params, image_generate_params

from tests.unit.dialects.media.forms import file, form
from torana.core.usage import Usage
from torana.dialects.costs import MediaCosts
from torana.dialects.media import Form
from torana.dialects.openai_images import (
    EDIT_FIELDS,
    FIELDS,
    LARGEST_USUAL,
    OPENAI_IMAGE_EDITS,
    OPENAI_IMAGES,
    tokens_of,
)
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage


def ask(**fields: Any) -> WireRequest:
    return OPENAI_IMAGES.decode_request(
        json.dumps({"model": "m", "prompt": "p", **fields}).encode()
    )


def media(request: WireRequest) -> MediaCosts:
    found = OPENAI_IMAGES.read_costs(request).media
    assert found is not None
    return found


def test_the_tables_have_every_field_of_the_sdk():
    made = image_generate_params.ImageGenerateParamsStreaming.__annotations__
    edited = image_edit_params.ImageEditParamsStreaming.__annotations__
    assert set(made) == set(FIELDS)
    assert set(edited) == set(EDIT_FIELDS) - {"images", "moderation"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"model": None}, "model"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "many"}, "n"),
        ({"n": 1.5}, "n"),
        ({"partial_images": -1}, "partial_images"),
        ({"size": 5}, "size"),
        ({"quality": []}, "quality"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        ask(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("size", "quality", "tokens"),
    [
        # OpenAI's table.
        ("1024x1024", "low", 272),
        ("1024x1536", "low", 408),
        ("1024x1024", "medium", 1056),
        ("1536x1024", "medium", 1584),
        ("1024x1024", "high", 4160),
        ("1536x1024", "high", 6240),
        ("2048x2048", "high", 4 * 4160),
        (None, None, 6240),
        ("auto", "low", 408),
        ("odd", "odd", 6240),
    ],
)
def test_an_image_has_as_many_tokens_as_its_pixels_and_quality_say(size, quality, tokens):
    assert tokens_of(size, quality) == tokens
    assert LARGEST_USUAL == 1024 * 1536


def test_what_is_asked_for_is_counted():
    request = ask(n=3, size="1024x1024", quality="low", partial_images=2, stream=True)
    assert media(request) == MediaCosts(
        images_out=3,
        image_tokens_out=3 * (272 + 200),
        size="1024x1024",
        quality="low",
    )
    assert OPENAI_IMAGES.form(request) is Form.EVENTS
    assert request.stream


def test_a_quality_without_known_tokens_is_named():
    assert media(ask(quality="max")).odd_quality == "quality=max"
    assert media(ask(quality="hd")).odd_quality is None
    assert media(ask()).odd_quality is None


def test_only_the_prompt_is_text_and_odd_fields_have_no_rule():
    costs = OPENAI_IMAGES.read_costs(ask(prompt="abc", user="someone", style="vivid", svg=None))
    assert (costs.text_bytes, costs.unruled, costs.no_output) == (5, (), True)
    odd = OPENAI_IMAGES.read_costs(ask(svg={}, seed=7, frame_count=2))
    assert set(odd.unruled) == {"svg", "seed", "frame_count"}


def test_an_edit_counts_its_images():
    upload = form(
        file("image[]", b"a"),
        file("image[]", b"b"),
        file("mask", b"c"),
        model="m",
        prompt="p",
        n="2",
        stream="true",
    )
    request = OPENAI_IMAGE_EDITS.decode_upload(upload)
    costs = OPENAI_IMAGE_EDITS.read_costs(request)
    assert costs.media is not None
    assert (costs.media.images_in, costs.media.images_out, request.stream) == (3, 2, True)
    assert (costs.text_bytes, costs.unruled) == (1, ())


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"images": [{"file_id": "a"}, {"image_url": "data:image/png;base64,AAAA"}]}, 2),
        ({"images": [{}], "mask": {"file_id": "a"}}, 2),
        ({"image": "https://x"}, 1),
    ],
)
def test_an_edit_in_json_counts_what_it_refers_to(fields, count):
    body = json.dumps({"model": "m", "prompt": "p", **fields}).encode()
    costs = OPENAI_IMAGE_EDITS.read_costs(OPENAI_IMAGE_EDITS.decode_request(body))
    assert costs.media is not None
    assert (costs.media.images_in, costs.text_bytes, costs.unruled) == (count, 3, ())


def test_an_edit_needs_an_image():
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_IMAGE_EDITS.decode_upload(form(model="m", prompt="p"))
    assert caught.value.param == "image"
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_IMAGE_EDITS.decode_request(b'{"model":"m","prompt":"p","images":null}')
    assert caught.value.param == "images"


USAGE = {
    "input_tokens": 60,
    "output_tokens": 100,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
}


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, Usage(images=2)),
        ({"usage": None}, Usage(images=2)),
        (
            {"usage": USAGE},
            Usage(input_tokens=10, input_image_tokens=50, output_image_tokens=100, images=2),
        ),
        (
            {"usage": USAGE | {"output_tokens_details": {"image_tokens": 70, "text_tokens": 30}}},
            Usage(
                input_tokens=10,
                input_image_tokens=50,
                output_tokens=30,
                output_image_tokens=70,
                images=2,
            ),
        ),
        # More images than input makes no sense; nothing becomes negative.
        (
            {
                "usage": {
                    "input_tokens": 5,
                    "output_tokens": 1,
                    "input_tokens_details": {"image_tokens": 50},
                }
            },
            Usage(input_image_tokens=5, output_image_tokens=1, images=2),
        ),
        ({"usage": {"input_tokens": -5, "output_tokens": 1}}, None),
        ({"usage": {"total_tokens": 5}}, None),
        # Another model has helped, at a price of its own.
        ({"usage": USAGE, "svg_usage": {"model": "other"}}, None),
    ],
)
def test_a_usage_is_read_as_it_is_told(told, usage):
    body = json.dumps({"data": [{"url": "a"}, {"url": "b"}], **told}).encode()
    found = OPENAI_IMAGES.decode_answer(body)
    assert (found.body, found.usage) == (body, usage)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":5}', b'{"data":null}', b"\xff"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_IMAGES.decode_answer(body)


def test_an_error_in_the_clothes_of_an_answer_is_one():
    with pytest.raises(UpstreamError):
        OPENAI_IMAGES.decode_answer(b'{"error":{"message":"no"},"data":[]}')


def test_texts_of_the_prompt_are_bounded_by_their_bytes():
    request = ask(prompt="abc")
    costs = OPENAI_IMAGES.read_costs(request)
    texts = OPENAI_IMAGES.prompt_texts(request, costs)
    assert (texts.texts, texts.all_bytes, texts.other_bytes) == ((), 5, 5)
    assert OPENAI_IMAGES.labels(ask(user="ann")).end_user == "ann"
    assert msgspec.json.decode(ask().fields["prompt"]) == "p"
