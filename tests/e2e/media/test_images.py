"""Images through the openai SDK: what passes, and what it costs to the nano-dollar."""

from __future__ import annotations

import base64
import hashlib
import json

import openai
import pytest

from tests.contract.fake_upstream import Turn
from tests.e2e.media.conftest import Scene
from tests.e2e.media.provider import form_of

PICTURE = base64.b64encode(b"picture" * 1000).decode()
USAGE = {
    "input_tokens": 60,
    "output_tokens": 1056,
    "total_tokens": 1116,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
}
TOKENS_COST = 10 * 5_000 + 50 * 10_000 + 1056 * 40_000


def draw(count: int, **more: object):
    def play(turn: Turn) -> None:
        turn.reply({"created": 1, "data": [{"b64_json": PICTURE}] * count, **more})

    return play


def test_images_by_tokens_cost_what_the_provider_reports(scene: Scene):
    model = scene.model("image-tokens", draw(1, usage=USAGE))
    answer = scene.client().images.with_raw_response.generate(
        model=model, prompt="a gateway", size="1024x1024", quality="medium"
    )
    made = answer.parse().data
    assert made is not None
    assert made[0].b64_json == PICTURE
    assert answer.headers["x-torana-cost-usd"] == "0.04279"
    row = scene.entry(model)
    assert (row["cost_nano"], row["counted"]) == (TOKENS_COST, "provider")
    assert (row["input_tokens"], row["input_image_tokens"]) == (10, 50)
    assert (row["output_tokens"], row["output_image_tokens"], row["images"]) == (0, 1056, 1)
    assert row["cost_nano"] <= row["bound_nano"]
    sent = scene.sent(model)
    assert (sent.path, sent.json()["model"]) == ("/v1/images/generations", model.split("/")[1])


@pytest.mark.parametrize(
    ("asked", "cost"),
    [
        ({"size": "1024x1024", "quality": "hd", "n": 2}, 160_000_000),
        ({"size": "1024x1024", "quality": "standard", "n": 3}, 120_000_000),
        # What is left open costs what the dearest choice does.
        ({}, 80_000_000),
    ],
)
def test_images_by_the_piece_cost_by_their_size_and_quality(scene: Scene, asked, cost):
    model = scene.model("image-pieces", draw(asked.get("n", 1)))
    scene.client().images.generate(model=model, prompt="a gateway", **asked)
    row = scene.entry(model)
    assert (row["cost_nano"], row["bound_nano"], row["images"]) == (cost, cost, asked.get("n", 1))


def test_fewer_images_than_were_asked_for_cost_less(scene: Scene):
    model = scene.model("image-pieces", draw(1))
    scene.client().images.generate(
        model=model, prompt="a gateway", n=2, size="1024x1024", quality="hd"
    )
    row = scene.entry(model)
    assert (row["cost_nano"], row["bound_nano"]) == (80_000_000, 160_000_000)


def test_an_answer_that_is_none_costs_its_bound(scene: Scene):
    model = scene.model("image-pieces", lambda turn: turn.reply({"created": 1}))
    with pytest.raises(openai.APIStatusError) as caught:
        scene.client().images.generate(
            model=model, prompt="a gateway", size="1024x1024", quality="hd"
        )
    assert caught.value.status_code == 502
    row = scene.entry(model)
    assert (row["cost_nano"], row["counted"], row["status"]) == (80_000_000, "bound", "error")


def test_a_stream_passes_as_it_comes_and_ends_after_its_posting(scene: Scene):
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.event(
            {
                "type": "image_generation.partial_image",
                "b64_json": PICTURE,
                "partial_image_index": 0,
            }
        )
        turn.event({"type": "image_generation.completed", "b64_json": PICTURE, "usage": USAGE})
        turn.write(b"0\r\n\r\n")

    model = scene.model("image-tokens", play)
    kinds = []
    with scene.client().images.generate(
        model=model, prompt="a gateway", stream=True, partial_images=1
    ) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "image_generation.completed":
                assert scene.entry(model)["cost_nano"] == TOKENS_COST
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]
    assert scene.entry(model)["streamed"] is True


def test_a_stream_that_is_cut_is_an_error_and_costs_its_bound(scene: Scene):
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"type": "image_generation.partial_image", "b64_json": PICTURE})
        turn.cut()

    model = scene.model("image-tokens", play)
    with (
        pytest.raises(openai.APIError),
        scene.client().images.generate(model=model, prompt="a", stream=True) as stream,
    ):
        list(stream)
    row = scene.entry(model)
    assert (row["status"], row["counted"]) == ("error", "bound")
    assert row["cost_nano"] == row["bound_nano"] > 0


def test_an_edit_is_sent_on_as_a_form_with_the_same_files(scene: Scene):
    model = scene.model("image-tokens", draw(1, usage=USAGE))
    first, second, mask = b"first" * 5000, b"\r\n--second\x00" * 5000, b"mask"
    scene.client().images.edit(
        model=model,
        prompt="a sunrise, très rouge",
        image=[("one.png", first, "image/png"), ('two "2".png', second, "image/png")],
        mask=("mask.png", mask, "image/png"),
        n=1,
    )
    sent = scene.sent(model)
    form = form_of(sent)
    assert sent.path == "/v1/images/edits"
    assert dict(form.fields) == {
        "model": model.split("/")[1],
        "prompt": "a sunrise, très rouge",
        "n": "1",
    }
    assert [(file.name, file.sha256) for file in form.files] == [
        ("image[]", hashlib.sha256(first).hexdigest()),
        ("image[]", hashlib.sha256(second).hexdigest()),
        ("mask", hashlib.sha256(mask).hexdigest()),
    ]
    assert {file.content_type for file in form.files} == {"image/png"}
    row = scene.entry(model)
    assert (row["cost_nano"], row["route"]) == (TOKENS_COST, "openai.images.edits")


def test_an_edit_in_json_refers_to_its_images(scene: Scene):
    model = scene.model("image-tokens", draw(1, usage=USAGE))
    body = {"model": model, "prompt": "a sunrise", "images": [{"file_id": "file-1"}]}
    reply = scene.server.request("POST", "/v1/images/edits", body)
    assert reply.status == 200
    assert scene.sent(model).json() == body | {"model": model.split("/")[1]}
    assert scene.entry(model)["cost_nano"] == TOKENS_COST


def test_a_large_answer_passes_whole(scene: Scene):
    large = base64.b64encode(b"x" * 9_000_000).decode()
    model = scene.model(
        "image-pieces", lambda turn: turn.reply({"data": [{"b64_json": large}], "created": 1})
    )
    answer = scene.client().images.generate(model=model, prompt="a", size="1024x1024", quality="hd")
    assert answer.data is not None
    assert answer.data[0].b64_json == large


def test_a_provider_that_lacks_the_route_is_said_so(scene: Scene):
    body = {"model": "echo/echo", "prompt": "a"}
    reply = scene.server.request("POST", "/v1/images/generations", body)
    assert reply.status == 400
    assert "can't be called by this route" in json.dumps(reply.json())
