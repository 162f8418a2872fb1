"""Streams of events: what passes at once, what waits, and what they tell of the usage."""

from __future__ import annotations

import json

import pytest

from torana.core.usage import Usage
from torana.dialects import sse
from torana.dialects.media_events import EventFold
from torana.dialects.openai_images import OPENAI_IMAGES
from torana.errors import UpstreamCut, UpstreamGarbage

PARTIAL = {"type": "image_generation.partial_image", "b64_json": "AA"}
LAST = {
    "type": "image_generation.completed",
    "b64_json": "AA",
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def frame(value: object) -> bytes:
    return sse.encode(json.dumps(value).encode())


def fold() -> EventFold:
    request = OPENAI_IMAGES.decode_request(b'{"model":"m","prompt":"p","stream":true}')
    return OPENAI_IMAGES.fold(request, request_id="req_1")


def passed(folded: EventFold, *values: object) -> list[bytes]:
    frames = [frame(value) for value in values]
    return [folded.pass_on(each, sse.data_of(each)) for each in frames]


def test_the_last_event_waits_for_the_posting():
    folded = fold()
    assert passed(folded, PARTIAL, LAST) == [frame(PARTIAL), b""]
    assert (folded.finished, folded.done) == (True, False)
    assert folded.usage == Usage(input_tokens=3, output_image_tokens=5, images=1)
    assert folded.end() == frame(LAST)


def test_an_event_that_was_not_the_last_goes_on_with_the_next():
    folded = fold()
    assert passed(folded, LAST, PARTIAL, LAST) == [b"", frame(LAST) + frame(PARTIAL), b""]
    assert folded.usage == Usage(input_tokens=6, output_image_tokens=10, images=2)


def test_a_mark_at_the_end_waits_too():
    folded = fold()
    passed(folded, LAST)
    done = sse.encode(b"[DONE]")
    assert folded.pass_on(done, b"[DONE]") == b""
    assert folded.done
    assert folded.end() == frame(LAST) + done


def test_comments_pass():
    assert fold().pass_on(b": hello\n\n", None) == b": hello\n\n"


def test_a_stream_that_has_not_ended_is_not_finished():
    folded = fold()
    passed(folded, PARTIAL)
    assert not folded.finished
    assert folded.usage is None
    assert folded.visible is None


def test_a_usage_that_one_event_leaves_out_is_none():
    folded = fold()
    passed(folded, LAST, {**LAST, "usage": {"input_tokens": "many"}})
    assert folded.usage is None


def test_a_usage_in_another_unit_than_the_price_is_none():
    folded = fold()
    folded.accepts = lambda usage: usage.characters > 0
    passed(folded, LAST)
    assert folded.usage is None


@pytest.mark.parametrize(
    "data",
    [b"nonsense", b"[]", b'{"type":"error"}', b'{"error":{"message":"no"}}', b'{"type":5}'],
)
def test_what_is_no_event_ends_the_stream(data):
    with pytest.raises(UpstreamGarbage):
        fold().pass_on(sse.encode(data), data)


def test_an_error_is_an_event_that_the_sdks_raise():
    told = sse.data_of(fold().error(UpstreamCut("It ended.")))
    assert told is not None
    assert json.loads(told)["error"]["code"] == "upstream_cut"
    assert fold().ping().startswith(b":")
