"""Recordings: how long they are at most, and what is read of requests and answers."""

from __future__ import annotations

import io
import json
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import TranslationCreateParams, transcription_create_params

from tests.unit.dialects.media.forms import file, form
from torana.core.usage import Usage
from torana.dialects import sse
from torana.dialects.media import Form
from torana.dialects.openai_audio.lengths import SLOWEST_BYTES, seconds_at_most
from torana.dialects.openai_audio.transcriptions import (
    AUDIO_TOKENS_A_SECOND,
    FIELDS,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
    TEXT_TOKENS,
    TEXT_TOKENS_A_SECOND,
    TRANSLATION_FIELDS,
)
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage


def length(data: bytes) -> int:
    return seconds_at_most(len(data), lambda offset, most: data[offset : offset + most])


def wav(frames: int, *, rate: int, channels: int, width: int) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(b"\0" * (frames * channels * width))
    return made.getvalue()


@given(
    st.integers(0, 50_000),
    st.sampled_from([8_000, 16_000, 44_100]),
    st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
)
def test_a_wav_file_is_as_long_as_its_samples(frames, rate, channels, width):
    found = length(wav(frames, rate=rate, channels=channels, width=width))
    # The header's 44 bytes count too.
    assert max(-(-frames // rate), 1) <= found <= -(-(frames + 44) // rate)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def described(kind: int = 1, channels: int = 1, rate: int = 8000, block: int = 2, bits: int = 16):
    return (b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits))


def test_what_stands_before_the_description_is_passed_over():
    data = riff((b"LIST", b"abcd"), described(), (b"data", b"\0" * 32_000))
    assert length(data) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"ID3" + b"\0" * 9997,
        riff((b"data", b"\0" * 9980)),
        # Packed samples, and descriptions that make no sense.
        riff(described(kind=0x11, block=1, bits=4), (b"data", b"\0" * 9948)),
        riff(described(channels=0), (b"data", b"\0" * 9948)),
        riff(described(block=1), (b"data", b"\0" * 9948)),
        riff(described(rate=0), (b"data", b"\0" * 9948)),
        riff((b"fmt ", b"\1\0"), (b"data", b"\0" * 9962)),
        riff(*[(b"junk", b"")] * 40, described(), (b"data", b"\0" * 9628)),
    ],
)
def test_anything_else_is_as_long_as_the_slowest_format(data):
    assert length(data) == -(-len(data) // SLOWEST_BYTES) == 10


@pytest.mark.parametrize("data", [b"", b"x", riff(described())])
def test_the_shortest_recording_is_billed_as_a_second(data):
    assert length(data) == 1


# --- requests ----------------------------------------------------------------------------------


def test_the_tables_have_every_field_of_the_sdk():
    streamed = transcription_create_params.TranscriptionCreateParamsStreaming.__annotations__
    assert set(streamed) == set(FIELDS)
    assert set(TranslationCreateParams.__annotations__) == set(TRANSLATION_FIELDS)


@pytest.mark.parametrize("dialect", [OPENAI_TRANSCRIPTIONS, OPENAI_TRANSLATIONS])
def test_there_is_one_recording(dialect):
    for files in ([], [file("file", b"a"), file("file", b"b")]):
        with pytest.raises(InvalidRequest) as caught:
            dialect.decode_upload(form(*files, model="m"))
        assert caught.value.param == "file"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, Form.JSON),
        ({"response_format": "verbose_json"}, Form.JSON),
        ({"response_format": "diarized_json"}, Form.JSON),
        ({"response_format": "text"}, Form.TEXT),
        ({"response_format": "srt"}, Form.TEXT),
        ({"response_format": "vtt", "stream": "false"}, Form.TEXT),
        ({"stream": "True"}, Form.EVENTS),
    ],
)
def test_the_answer_is_what_was_asked_for(fields, found):
    request = OPENAI_TRANSCRIPTIONS.decode_upload(form(file("file", b"a"), model="m", **fields))
    assert OPENAI_TRANSCRIPTIONS.form(request) is found
    assert request.stream is (found is Form.EVENTS)


def test_a_translation_has_no_stream():
    with pytest.raises(InvalidRequest):
        OPENAI_TRANSLATIONS.decode_upload(form(file("file", b"a"), model="m", stream="true"))
    request = OPENAI_TRANSLATIONS.decode_upload(form(file("file", b"a"), model="m"))
    with pytest.raises(InvalidRequest):
        OPENAI_TRANSLATIONS.fold(request, request_id="req_1")


def test_a_yes_or_no_that_is_neither_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_TRANSCRIPTIONS.decode_upload(form(file("file", b"a"), model="m", stream="yes"))
    assert caught.value.param == "stream"


def test_a_recording_is_bounded_by_its_seconds():
    upload = form(
        file("file", b"x" * 2500),
        model="m",
        prompt="names",
        known_speaker_references__="data:audio/wav;base64," + "A" * 1500,
        chunking_strategy="auto",
        odd="1",
    )
    costs = OPENAI_TRANSCRIPTIONS.read_costs(OPENAI_TRANSCRIPTIONS.decode_upload(upload))
    assert costs.media is not None
    assert costs.media.audio_seconds == 3 + 2
    assert costs.media.audio_tokens_in == 5 * AUDIO_TOKENS_A_SECOND
    assert costs.media.text_tokens_out == 5 * TEXT_TOKENS_A_SECOND + TEXT_TOKENS
    assert (costs.text_bytes, costs.unruled) == (len("names") + 1, ("odd",))


# --- answers -----------------------------------------------------------------------------------

TOKENS = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, None),
        ({"duration": 3.2}, Usage(audio_seconds=4)),
        ({"duration": "3.0"}, Usage(audio_seconds=3)),
        ({"usage": {"type": "duration", "seconds": 7.5}, "duration": 99}, Usage(audio_seconds=8)),
        ({"usage": TOKENS}, Usage(input_audio_tokens=14, output_tokens=45)),
        (
            {"usage": TOKENS | {"input_token_details": {"text_tokens": 4, "audio_tokens": 10}}},
            Usage(input_tokens=4, input_audio_tokens=10, output_tokens=45),
        ),
        (
            {"usage": TOKENS, "duration": 2},
            Usage(input_audio_tokens=14, output_tokens=45, audio_seconds=2),
        ),
        ({"usage": {"input_tokens": 14}}, None),
        ({"usage": {"seconds": -1}}, None),
        ({"duration": "long"}, None),
    ],
)
def test_a_usage_is_read_as_it_is_told(told, usage):
    body = json.dumps({"text": "hello", **told}).encode()
    found = OPENAI_TRANSCRIPTIONS.decode_answer(body)
    assert (found.body, found.usage) == (body, usage)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"text":5}', b"hello", b"\xff"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_TRANSCRIPTIONS.decode_answer(body)


def test_an_error_in_the_clothes_of_an_answer_is_one():
    with pytest.raises(UpstreamError):
        OPENAI_TRANSCRIPTIONS.decode_answer(b'{"error":"no","text":""}')


def test_the_last_event_tells_the_usage():
    request = OPENAI_TRANSCRIPTIONS.decode_upload(
        form(file("file", b"a"), model="m", stream="true")
    )
    folded = OPENAI_TRANSCRIPTIONS.fold(request, request_id="req_1")
    frame = sse.encode(json.dumps({"type": "transcript.text.done", "usage": TOKENS}).encode())
    assert folded.pass_on(frame, sse.data_of(frame)) == b""
    assert folded.usage == Usage(input_audio_tokens=14, output_tokens=45)
