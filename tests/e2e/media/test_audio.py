"""Audio through the openai SDK: what passes as it comes, and what it costs to the nano-dollar."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from typing import Any

import httpx2
import openai
import pytest

from tests.contract.fake_upstream import Gate, Script, Turn
from tests.e2e.media.conftest import Scene
from tests.e2e.media.provider import chunked, form_of, recording, speak
from tests.support.server import eventually

TEXT = "Good morning, gâteway. " * 40
AUDIO = bytes(range(256)) * 64
PIECE = AUDIO[:4096]
SPOKEN_COST = len(TEXT) * 15_000
SDK_ERRORS = (openai.APIError, httpx2.HTTPError)


def say(scene: Scene, model: str, **more: Any) -> bytes:
    """All of the audio of a text, taken as it comes."""
    with scene.client().audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input=TEXT, **more
    ) as answer:
        return b"".join(answer.iter_bytes())


# --- speech ------------------------------------------------------------------------------------


def test_speech_is_passed_on_as_it_comes_with_its_own_type(scene: Scene):
    gate = Gate()

    def play(turn: Turn) -> None:
        turn.head(content_type="audio/mpeg", transfer_encoding="chunked")
        chunked(turn, PIECE)
        gate.wait()
        chunked(turn, AUDIO[4096:])
        turn.write(b"0\r\n\r\n")

    model = scene.model("speech-characters", play)
    with scene.client().audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input=TEXT
    ) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        pieces = answer.iter_bytes()
        began = next(pieces)
        gate.open()  # The rest is sent only now.
        assert began + b"".join(pieces) == AUDIO
    row = scene.entry(model)
    assert (row["cost_nano"], row["characters"]) == (SPOKEN_COST, len(TEXT))
    assert (row["counted"], row["status"], row["streamed"]) == ("provider", "ok", True)
    assert row["bound_nano"] == SPOKEN_COST
    assert scene.sent(model).json()["input"] == TEXT


def test_the_last_byte_is_sent_after_the_posting(scene: Scene):
    model = scene.model("speech-characters", lambda turn: speak(turn, AUDIO))
    with scene.client().audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input=TEXT
    ) as answer:
        size = 0
        for piece in answer.iter_bytes():
            size += len(piece)
            if size == len(AUDIO):
                assert scene.entry(model)["cost_nano"] == SPOKEN_COST
    assert size == len(AUDIO)


def test_speech_by_tokens_costs_what_its_events_report(scene: Scene):
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.event(
            {"type": "speech.audio.delta", "audio": base64.b64encode(PIECE).decode()},
        )
        turn.event(
            {
                "type": "speech.audio.done",
                "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
            }
        )
        turn.write(b"0\r\n\r\n")

    model = scene.model("speech-tokens", play)
    events = say(scene, model, stream_format="sse")
    assert b"speech.audio.delta" in events
    assert b"speech.audio.done" in events
    row = scene.entry(model)
    assert row["cost_nano"] == 14 * 600 + 101 * 12_000
    assert (row["output_audio_tokens"], row["counted"]) == (101, "provider")


def test_speech_by_tokens_that_reports_none_costs_its_bound(scene: Scene):
    model = scene.model("speech-tokens", lambda turn: speak(turn, AUDIO))
    assert say(scene, model) == AUDIO
    row = scene.entry(model)
    assert (row["counted"], row["cost_nano"]) == ("bound", row["bound_nano"])


def test_speech_that_is_cut_ends_without_a_finish_and_costs_its_text(scene: Scene):
    def play(turn: Turn) -> None:
        turn.head(content_type="audio/mpeg", content_length=str(len(AUDIO)))
        turn.write(PIECE)
        turn.cut()

    model = scene.model("speech-characters", play)
    with pytest.raises(SDK_ERRORS):
        say(scene, model)
    row = scene.entry(model)
    assert (row["status"], row["error_code"]) == ("error", "upstream_cut")
    assert (row["cost_nano"], row["counted"]) == (SPOKEN_COST, "bound")


@pytest.mark.parametrize(
    "play",
    [
        lambda turn: turn.head(content_type="audio/mpeg", content_length="0"),
        lambda turn: (turn.head(content_type="audio/mpeg", content_length="9"), turn.cut()),
    ],
    ids=["empty", "cut"],
)
def test_speech_that_fails_before_its_first_byte_is_an_error(scene: Scene, play: Script):
    model = scene.model("speech-characters", play)
    with pytest.raises(openai.APIStatusError) as caught:
        say(scene, model)
    assert caught.value.status_code == 502
    assert scene.entry(model)["status"] == "error"


def test_speech_whose_caller_leaves_is_read_to_its_end(scene: Scene):
    gate = Gate()

    def play(turn: Turn) -> None:
        turn.head(content_type="audio/mpeg", transfer_encoding="chunked")
        chunked(turn, PIECE)
        gate.wait()
        for _ in range(5):
            time.sleep(0.1)  # The work of a provider: long enough to notice that nobody listens.
            chunked(turn, PIECE)
        turn.write(b"0\r\n\r\n")

    model = scene.model("speech-characters", play)
    with scene.client().audio.speech.with_streaming_response.create(
        model=model, voice="alloy", input=TEXT
    ) as answer:
        next(answer.iter_bytes())
    gate.open()
    row = scene.entry(model)
    assert (row["status"], row["cost_nano"]) == ("cancelled", SPOKEN_COST)


def test_a_refusal_of_the_provider_costs_nothing(scene: Scene):
    model = scene.model(
        "speech-characters", lambda turn: turn.reply({"error": {"message": "no voice"}}, 400)
    )
    with pytest.raises(openai.BadRequestError, match="no voice"):
        say(scene, model)
    assert scene.entry(model)["cost_nano"] == 0


# --- listening ---------------------------------------------------------------------------------


def tell(answer: object, *, kind: str = "application/json") -> Script:
    """A script that answers with JSON, or with text."""

    def play(turn: Turn) -> None:
        turn.reply(answer, content_type=kind)

    return play


def test_a_recording_by_the_minute_costs_the_seconds_that_are_reported(scene: Scene):
    usage = {"type": "duration", "seconds": 7}
    model = scene.model("listen-minutes", tell({"text": "hello", "usage": usage}))
    sound = b"\xff\xfbnot really" * 1000
    answer = scene.client().audio.transcriptions.create(
        model=model,
        file=("talk.mp3", sound, "audio/mpeg"),
        timestamp_granularities=["word", "segment"],
    )
    assert answer.text == "hello"
    form = form_of(scene.sent(model))
    assert form.files[0].sha256 == hashlib.sha256(sound).hexdigest()
    assert (form.files[0].name, form.files[0].filename) == ("file", "talk.mp3")
    assert ("timestamp_granularities[]", "segment") in form.fields
    row = scene.entry(model)
    assert (row["cost_nano"], row["audio_seconds"]) == (7 * 100_000, 7)
    # 13,000 bytes are at most 13 seconds.
    assert row["bound_nano"] == -(-len(sound) // 1000) * 100_000


def test_a_verbose_answer_tells_its_duration(scene: Scene):
    told = {"text": "hi", "duration": 3.2, "language": "english", "segments": []}
    model = scene.model("listen-minutes", tell(told))
    answer = scene.client().audio.transcriptions.create(
        model=model, file=("a.mp3", b"x" * 9000), response_format="verbose_json"
    )
    assert answer.duration == 3.2
    assert scene.entry(model)["cost_nano"] == 4 * 100_000


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_a_plain_answer_to_a_wav_file_costs_its_exact_length(scene: Scene, form):
    model = scene.model("listen-minutes", tell(b"hello\n", kind="text/plain; charset=utf-8"))
    answer = scene.client().audio.transcriptions.create(
        model=model, file=("a.wav", recording(2.5)), response_format=form
    )
    assert answer == "hello\n"
    row = scene.entry(model)
    assert (row["cost_nano"], row["counted"]) == (3 * 100_000, "bound")


def test_a_recording_by_tokens_streams_and_costs_what_is_reported(scene: Scene):
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"type": "transcript.text.delta", "delta": "hel"})
        turn.event(
            {
                "type": "transcript.text.done",
                "text": "hello",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "output_tokens": 45,
                    "total_tokens": 59,
                    "input_token_details": {"text_tokens": 2, "audio_tokens": 12},
                },
            }
        )
        turn.raw_event(b"[DONE]")
        turn.write(b"0\r\n\r\n")

    model = scene.model("listen-tokens", play)
    with scene.client().audio.transcriptions.create(
        model=model, file=("a.mp3", b"x" * 9000), stream=True
    ) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert ("stream", "true") in form_of(scene.sent(model)).fields
    row = scene.entry(model)
    assert row["cost_nano"] == 2 * 2_500 + 12 * 6_000 + 45 * 10_000
    assert (row["input_audio_tokens"], row["streamed"]) == (12, True)


def test_a_model_that_does_not_stream_answers_whole(scene: Scene):
    told = {"text": "hello", "usage": {"type": "duration", "seconds": 2}}
    model = scene.model("listen-minutes", tell(told))
    reply = httpx2.post(
        f"{scene.server.url}/v1/audio/transcriptions",
        headers={"authorization": f"Bearer {scene.server.key}"},
        data={"model": model, "stream": "true"},
        files={"file": b"x" * 5000},
    )
    assert reply.json() == told
    assert scene.entry(model)["cost_nano"] == 2 * 100_000


def test_a_translation_costs_its_duration(scene: Scene):
    model = scene.model("listen-minutes", tell({"text": "hello", "duration": "4.0"}))
    with pytest.warns(DeprecationWarning, match="deprecated"):  # The SDK says so of the route.
        answer = scene.client().audio.translations.create(model=model, file=("a.mp3", b"x" * 9000))
    assert answer.text == "hello"
    row = scene.entry(model)
    assert (row["cost_nano"], row["route"]) == (4 * 100_000, "openai.audio.translations")


def test_a_form_is_sent_whole_again_after_a_refusal(scene: Scene):
    tries: list[int] = []

    def play(turn: Turn) -> None:
        tries.append(form_of(turn.request).files[0].size)
        if len(tries) == 1:
            turn.reply({"error": {"message": "later"}}, 503)
        else:
            turn.reply({"text": "hello", "usage": {"type": "duration", "seconds": 1}})

    model = scene.model("listen-minutes", play)
    answer = scene.client().audio.transcriptions.create(model=model, file=("a.mp3", b"x" * 700_000))
    assert answer.text == "hello"
    assert tries == [700_000, 700_000]
    assert scene.entry(model)["cost_nano"] == 100_000


def test_a_caller_who_stops_in_the_middle_of_a_form_pays_nothing(scene: Scene):
    model = scene.model("listen-minutes", tell({"text": "never"}))
    before = len(scene.server.log("request.refused"))
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {scene.server.key}\r\n"
        "content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n"
        f'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n{model}\r\n'
    )
    with socket.create_connection(scene.server.address, 5) as connection:
        connection.sendall(head.encode())
    eventually(lambda: len(scene.server.log("request.refused")) > before, "the refusal")
    assert scene.upstream.seen(model.partition("/")[2]) == []
    assert [row for row in scene.server.ledger() if row["model"] == model] == []
