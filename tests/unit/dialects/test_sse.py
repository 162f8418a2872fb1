"""Cutting event streams into frames, held against a literal reading of the HTML standard."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.sse import FrameSplitter, FrameTooLargeError, data_of, encode

LINE_ENDS = [b"\n", b"\r", b"\r\n"]
# Small alphabets: what matters is how line ends, cuts and field names meet.
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"data",
                b"data:",
                b"data: ",
                b"data:  a",
                b": comment",
                b"event: x",
                b"id",
                b"databox: 1",
            ]
        ),
        st.binary(max_size=6).map(lambda text: b"data: " + re.sub(rb"[\r\n]", b"", text)),
    ),
    max_size=4,
)


@st.composite
def streams(draw: st.DrawFn, ends: list[bytes]) -> bytes:
    """Whole frames, whose lines end in one way or, when there are several, in any."""
    parts = []
    for lines in draw(st.lists(LINES, max_size=5)):
        for line in [*lines, b""]:
            parts += [line, draw(st.sampled_from(ends))]
    return b"".join(parts)


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *places, len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def frames_of(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = FrameSplitter()
    frames = [frame for chunk in chunks for frame in splitter.feed(chunk)]
    return frames, splitter.rest


def events_of(stream: bytes) -> list[bytes]:
    """The data of all events, as the standard's algorithm collects them, line by line."""
    events = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", stream):
        if line == b"":
            if data:
                events.append(b"\n".join(data))
            data = []
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
    return events


def read_events(chunks: list[bytes]) -> list[bytes]:
    frames, _ = frames_of(chunks)
    return [data for frame in frames if (data := data_of(frame)) is not None]


@pytest.mark.parametrize("end", LINE_ENDS, ids=["LF", "CR", "CRLF"])
@given(st.data())
def test_frames_are_the_same_however_the_bytes_are_cut(end, data):
    stream = data.draw(streams([end]))
    assert frames_of(data.draw(cuts(stream))) == frames_of([stream])


@given(st.data())
def test_frames_with_mixed_line_ends_are_the_same_however_the_bytes_are_cut(data):
    stream = data.draw(streams(LINE_ENDS))
    assert frames_of(data.draw(cuts(stream))) == frames_of([stream])


@given(st.data())
def test_no_byte_is_lost_or_changed_whatever_comes(data):
    stream = data.draw(st.one_of(streams(LINE_ENDS), st.binary(max_size=40)))
    frames, rest = frames_of(data.draw(cuts(stream)))
    assert b"".join(frames) + rest == stream


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@given(st.data())
def test_the_data_is_what_the_standard_says(end, data):
    stream = data.draw(streams([end]))
    assert read_events(data.draw(cuts(stream))) == events_of(stream)


@given(st.data())
def test_the_data_between_cr_line_ends_is_what_the_standard_says(data):
    # A CR at the very end may be half a CRLF, so a last frame is known with the byte after it.
    stream = data.draw(streams([b"\r"])) + b":"
    assert read_events(data.draw(cuts(stream))) == events_of(stream)


@given(st.data())
def test_the_data_between_mixed_line_ends_is_what_the_standard_says(data):
    stream = data.draw(streams(LINE_ENDS)) + b":"
    assert read_events(data.draw(cuts(stream))) == events_of(stream)


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: one\n\n", b"one"),
        (b"data:one\n\n", b"one"),
        (b"data:  one\n\n", b" one"),
        (b"data: one \n\n", b"one "),
        (b"data: a: b\n\n", b"a: b"),
        (b"data: one\ndata: two\n\n", b"one\ntwo"),
        (b"data: one\ndata\ndata: two\n\n", b"one\n\ntwo"),
        (b"data: one\r\ndata: two\r\n\r\n", b"one\ntwo"),
        (b"data: one\rdata: two\r\r", b"one\ntwo"),
        (b"event: delta\ndata: one\nid: 7\n\n", b"one"),
        (b": ping\ndata: one\n\n", b"one"),
        (b": ping\n\n", None),
        (b"event: ping\n\n", None),
        (b"\n", None),
        (b"datax: one\n\n", None),
        (b" data: one\n\n", None),
        # Two kinds of line end in one frame.
        (b"data: one\r\n\n", b"one"),
        (b"data: [DONE]\r\n\n", b"[DONE]"),
        (b"data: one\rdata: two\n\n", b"one\ntwo"),
    ],
)
def test_the_data_of_a_frame(frame, data):
    assert data_of(frame) == data


@given(st.binary().map(lambda text: re.sub(rb"[\r\n]", b"", text)))
def test_what_is_encoded_is_read_again(data):
    assert read_events([encode(data)]) == [data]


def test_a_frame_without_end_is_refused_at_the_limit():
    splitter = FrameSplitter(limit=10)
    assert splitter.feed(b"data: 1234") == []
    with pytest.raises(FrameTooLargeError):
        splitter.feed(b"5")


def test_the_limit_is_for_one_frame_and_not_for_all():
    splitter = FrameSplitter(limit=20)
    assert splitter.feed(b"data: 123\n\n" * 1000) == [b"data: 123\n\n"] * 1000
    assert splitter.rest == b""


def test_many_frames_and_the_beginning_of_another_come_in_one_chunk():
    splitter = FrameSplitter()
    assert splitter.feed(b"data: 1\n\n: c\n\ndata") == [b"data: 1\n\n", b": c\n\n"]
    assert splitter.rest == b"data"
    assert splitter.feed(b": 2\n\n") == [b"data: 2\n\n"]


def test_a_multibyte_character_is_whole_again_after_a_cut_through_it():
    text = "data: नमस्ते\n\n".encode()
    for place in range(len(text)):
        assert read_events([text[:place], text[place:]]) == ["नमस्ते".encode()]
