"""Budgets and the routes of media: what fits, what is refused, and what costs nothing."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from tests.contract.fake_upstream import Turn
from tests.e2e.media.conftest import Scene
from tests.e2e.media.provider import recording, speak

DOCUMENTS = ["a gateway", "a fish", "a temple"]


def draw(turn: Turn) -> None:
    turn.reply({"created": 1, "data": [{"url": "http://x"}]})


def test_a_budget_lets_pass_what_fits_and_refuses_the_next(scene: Scene):
    model = scene.model("image-pieces", draw)
    client = scene.client(scene.key(budget_nano=100_000_000))
    asked: dict[str, Any] = {"model": model, "prompt": "a", "size": "1024x1024", "quality": "hd"}
    client.images.generate(**asked)
    with pytest.raises(openai.RateLimitError) as caught:
        client.images.generate(**asked)
    assert caught.value.code == "insufficient_quota"
    assert len(scene.upstream.seen(model.partition("/")[2])) == 1


def test_speech_is_refused_by_its_length(scene: Scene):
    model = scene.model("speech-characters", lambda turn: speak(turn, b"audio"))
    client = scene.client(scene.key(budget_nano=15_000 * 10))
    client.audio.speech.create(model=model, voice="alloy", input="x" * 10).read()
    with pytest.raises(openai.RateLimitError):
        client.audio.speech.create(model=model, voice="alloy", input="x")


def test_a_recording_is_refused_by_its_length(scene: Scene):
    told = {"text": "a", "usage": {"type": "duration", "seconds": 3}}
    model = scene.model("listen-minutes", lambda turn: turn.reply(told))
    client = scene.client(scene.key(budget_nano=3 * 100_000))
    with pytest.raises(openai.RateLimitError):
        client.audio.transcriptions.create(model=model, file=("a.wav", recording(3.2)))
    client.audio.transcriptions.create(model=model, file=("a.wav", recording(2.9)))
    assert scene.entry(model)["cost_nano"] == 3 * 100_000


@pytest.mark.parametrize(
    ("path", "price", "body", "named"),
    [
        ("/v1/images/generations", "image-tokens", {"prompt": "a", "svg": {}}, "svg"),
        (
            "/v1/images/generations",
            "image-tokens",
            {"prompt": "a", "quality": "max"},
            "quality=max",
        ),
        ("/v1/audio/speech", "speech-characters", {"input": "a", "clone": True}, "clone"),
        (
            "/v1/rerank",
            "rank-tokens",
            {"query": "a", "documents": [{"image": "http://x"}]},
            "documents[].image",
        ),
    ],
)
def test_what_has_no_rule_is_named_under_a_budget(scene: Scene, path, price, body, named):
    model = scene.model(price, draw, provider="look")
    key = scene.key(budget_nano=10**12)
    reply = scene.server.request("POST", path, {"model": model, **body}, key=key)
    assert reply.status == 400
    assert reply.json()["error"]["code"] == "cost_unknown"
    assert named in reply.json()["error"]["message"]


def test_a_model_without_a_price_is_refused_under_a_budget_only(scene: Scene):
    name = scene.upstream.model(draw)
    body = {"model": f"openai/{name}", "prompt": "a"}
    budgeted = scene.key(budget_nano=10**12)
    reply = scene.server.request("POST", "/v1/images/generations", body, key=budgeted)
    assert (reply.status, reply.json()["error"]["code"]) == (400, "cost_unknown")
    assert scene.server.request("POST", "/v1/images/generations", body).status == 200
    assert scene.entry(f"openai/{name}")["cost_nano"] == 0


def test_moderations_are_free_and_no_budget_refuses_them(scene: Scene):
    told = {"id": "m", "model": "omni-moderation-latest", "results": [{"flagged": False}]}
    scene.upstream.model(lambda turn: turn.reply(told), exactly="omni-moderation-latest")
    client = scene.client(scene.key(budget_nano=1))
    parts: list[Any] = [
        {"type": "text", "text": "hello"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    answer = client.moderations.create(input=parts)
    assert not answer.results[0].flagged
    row = scene.entry("omni-moderation-latest")
    assert (row["cost_nano"], row["bound_nano"]) == (0, 0)
    assert row["price_id"] is not None


@pytest.mark.parametrize(
    ("price", "told", "cost", "columns"),
    [
        (
            "rank-searches",
            {"meta": {"billed_units": {"search_units": 1}}},
            2_000_000,
            {"searches": 1},
        ),
        (
            "rank-tokens",
            {"usage": {"prompt_tokens": 38, "total_tokens": 38}},
            38 * 20,
            {"input_tokens": 38},
        ),
        ("rank-tokens", {"usage": {"total_tokens": 38}}, 38 * 20, {"input_tokens": 38}),
    ],
)
def test_a_ranking_costs_what_is_reported(scene: Scene, price, told, cost, columns):
    results = [{"index": 0, "relevance_score": 0.9}]
    answer = {"id": "r", "results": results, **told}
    model = scene.model(price, lambda turn: turn.reply(answer), provider="look")
    body = {"model": model, "query": "what?", "documents": DOCUMENTS, "top_n": 1}
    reply = scene.server.request("POST", "/v1/rerank", body, key=scene.key(budget_nano=10**9))
    assert reply.json() == answer
    assert scene.sent(model).json() == body | {"model": model.partition("/")[2]}
    row = scene.entry(model)
    assert (row["cost_nano"], row["route"], row["counted"]) == (cost, "rerank", "provider")
    assert {name: row[name] for name in columns} == columns
    assert row["cost_nano"] <= row["bound_nano"]


def test_a_ranking_that_reports_nothing_costs_its_bound(scene: Scene):
    model = scene.model("rank-searches", lambda turn: turn.reply({"results": []}), provider="look")
    body = {"model": model, "query": "what?", "documents": DOCUMENTS}
    assert scene.server.request("POST", "/v1/rerank", body).status == 200
    row = scene.entry(model)
    assert (row["counted"], row["cost_nano"]) == ("bound", 2_000_000)


def test_reports_and_the_check_of_the_ledger_know_the_units(scene: Scene):
    usage = {"type": "duration", "seconds": 5}
    model = scene.model("listen-minutes", lambda turn: turn.reply({"text": "a", "usage": usage}))
    httpx2.post(
        f"{scene.server.url}/v1/audio/transcriptions",
        headers={"authorization": f"Bearer {scene.server.key}"},
        data={"model": model},
        files={"file": b"x" * 9000},
    )
    scene.entry(model)
    (row,) = scene.server.get(f"/api/usage?model={model}")["data"]
    assert (row["audio_seconds"], row["cost_nano"]) == (5, 500_000)
    rows = json.loads(scene.server.torana("usage", "--by", "model", "--format", "json"))
    assert next(row for row in rows if row["model"] == model)["audio_seconds"] == 5
    scene.server.torana("ledger", "verify")  # It fails when a sum is not that of the entries.
