"""Texts that are read aloud: what is read of requests and events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.audio import SpeechCreateParams

from torana.core.usage import Usage
from torana.dialects import sse
from torana.dialects.costs import MediaCosts
from torana.dialects.media import Form
from torana.dialects.openai_audio.speech import FIELDS, OPENAI_SPEECH, TOKENS_PER_BYTE
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, UpstreamGarbage


def ask(**fields: Any) -> WireRequest:
    body = {"model": "m", "input": "abc", "voice": "alloy", **fields}
    return OPENAI_SPEECH.decode_request(json.dumps(body, ensure_ascii=False).encode())


def test_the_table_has_every_field_of_the_sdk():
    assert set(SpeechCreateParams.__annotations__) == set(FIELDS)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": ["a"]}, "input"),
        ({"speed": 0.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": 1}, "stream_format"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        ask(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, Form.BINARY),
        ({"stream_format": "audio"}, Form.BINARY),
        ({"stream_format": "sse"}, Form.EVENTS),
    ],
)
def test_the_answer_is_audio_unless_events_are_asked_for(fields, form):
    request = ask(**fields)
    assert OPENAI_SPEECH.form(request) is form
    assert request.stream


def test_characters_are_counted_and_tokens_bounded_by_bytes():
    request = ask(input="aé😀", instructions="slowly")
    assert OPENAI_SPEECH.used(request) == Usage(characters=3)
    costs = OPENAI_SPEECH.read_costs(request)
    spoken = len('"aé😀"'.encode())
    assert costs.media == MediaCosts(characters=3, speech_tokens_out=spoken * TOKENS_PER_BYTE)
    assert costs.text_bytes == spoken + len('"slowly"')


@pytest.mark.parametrize(("speed", "times"), [(0.25, 4), (0.5, 2), (1, 1), (4, 1)])
def test_slow_speech_has_more_tokens(speed, times):
    media = OPENAI_SPEECH.read_costs(ask(speed=speed)).media
    assert media is not None
    assert media.speech_tokens_out == 5 * TOKENS_PER_BYTE * times


def test_an_unknown_field_has_no_rule():
    assert OPENAI_SPEECH.read_costs(ask(clone=True)).unruled == ("clone",)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {"usage": {"input_tokens": 4, "output_tokens": 9}},
            Usage(input_tokens=4, output_audio_tokens=9, characters=3),
        ),
        ({}, Usage(characters=3)),
        ({"usage": {"input_tokens": 4}}, None),
    ],
)
def test_the_last_event_tells_the_usage(told, usage):
    folded = OPENAI_SPEECH.fold(ask(stream_format="sse"), request_id="req_1")
    frame = sse.encode(json.dumps({"type": "speech.audio.done", **told}).encode())
    folded.pass_on(frame, sse.data_of(frame))
    assert (folded.usage, folded.finished) == (usage, True)


def test_an_answer_in_json_is_none():
    with pytest.raises(UpstreamGarbage):
        OPENAI_SPEECH.decode_answer(b"{}")
