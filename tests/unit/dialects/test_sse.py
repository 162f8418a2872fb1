"""Cutting event streams into frames, held against a literal reading of the HTML standard."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.sse import FrameSplitter, FrameTooLargeError, data_of, encode, event_of

BOM = b"\xef\xbb\xbf"
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
                b"event:y",
                b"event",
                b"events: z",
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
    parts = [draw(st.sampled_from([b"", b"", BOM]))]
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


def events_of(stream: bytes) -> list[tuple[bytes | None, bytes]]:
    """Names and data of all events, as the standard's algorithm collects them, line by line."""
    events = []
    data: list[bytes] = []
    name = b""
    *lines, _ = re.split(rb"\r\n|\n|\r", stream.removeprefix(BOM))
    for line in lines:
        if line == b"":
            if data:
                events.append((name or None, b"\n".join(data)))
            data, name = [], b""
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return events


def read_events(chunks: list[bytes]) -> list[tuple[bytes | None, bytes]]:
    frames, _ = frames_of(chunks)
    return [(event_of(frame), data) for frame in frames if (data := data_of(frame)) is not None]


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
    assert b"".join(frames) + rest == stream.removeprefix(BOM)


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


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (b"event: message_stop\ndata: {}\n\n", b"message_stop"),
        (b"event:x\ndata: {}\n\n", b"x"),
        (b"event:  x\ndata: {}\n\n", b" x"),
        (b"event: x\r\ndata: {}\r\n\r\n", b"x"),
        (b"event: x\rdata: {}\r\r", b"x"),
        (b"data: {}\nevent: x\n\n", b"x"),
        (b"event: x\ndata: event\n\n", b"x"),
        (b"event: x\nevent: y\ndata: 1\n\n", b"y"),
        (b"event: x\nevent\ndata: 1\n\n", None),
        (b"event: \ndata: 1\n\n", None),
        (b"data: event: x\n\n", None),
        (b": event: x\n\n", None),
        (b"events: x\n\n", None),
        (b"event: ping\n\n", b"ping"),
    ],
)
def test_the_name_of_an_event(frame, name):
    assert event_of(frame) == name


@pytest.mark.parametrize(
    "frame",
    [
        b"event: x\ndata: one\n\n",
        b"event: x\ndata: one\ndata: two\n\n",
        b"event: x\nid: 7\ndata: one\n\n",
        b"event: x\ndata:one\n\n",
        b"event: x\r\ndata: one\r\n\r\n",
        b"event: x\ndata: one\r\n\r\n",
        b"event: x\n\n",
    ],
)
def test_a_named_event_has_the_data_that_the_standard_says(frame):
    expected = dict(events_of(frame)).get(b"x")
    assert data_of(frame) == expected


@pytest.mark.parametrize("place", range(4))
def test_a_byte_order_mark_is_skipped_wherever_it_is_cut(place):
    stream = BOM + b"data: 1\n\n"
    assert frames_of([stream[:place], stream[place:]]) == ([b"data: 1\n\n"], b"")


def test_only_the_first_byte_order_mark_is_skipped_and_half_of_one_is_kept():
    assert frames_of([BOM + BOM + b"data: 1\n\n"])[0] == [BOM + b"data: 1\n\n"]
    assert frames_of([b"data: 1\n\n", BOM + b"\n\n"])[0][1] == BOM + b"\n\n"
    assert frames_of([b"\xef\xbb", b"x\n\n"])[0] == [b"\xef\xbbx\n\n"]
    assert frames_of([b"\xef"]) == ([], b"\xef")


NAMES = st.none() | st.sampled_from([b"x", b"message_start"])


@given(st.binary().map(lambda text: re.sub(rb"[\r\n]", b"", text)), NAMES)
def test_what_is_encoded_is_read_again(data, name):
    assert read_events([encode(data, name)]) == [(name, data)]


@given(st.text("a\r\n", max_size=8).map(str.encode), NAMES)
def test_every_line_of_the_data_is_encoded_and_every_end_of_a_line_becomes_lf(data, name):
    expected = re.sub(rb"\r\n|\r", b"\n", data)
    assert read_events([encode(data, name)]) == [(name, expected)]


@given(st.data())
def test_the_last_frame_comes_at_the_end_of_the_bytes_if_it_waited_for_half_a_crlf(data):
    stream = data.draw(streams(LINE_ENDS))
    splitter = FrameSplitter()
    frames = [frame for chunk in data.draw(cuts(stream)) for frame in splitter.feed(chunk)]
    frames += splitter.finish()
    events = [(event_of(frame), found) for frame in frames if (found := data_of(frame)) is not None]
    assert events == events_of(stream)
    assert splitter.finish() == []


def test_a_long_frame_in_many_chunks_takes_time_that_grows_with_its_size():
    splitter = FrameSplitter()
    for _ in range(100_000):
        assert splitter.feed(b"x" * 64) == []
    assert splitter.feed(b"\n\n") == [b"x" * 6_400_000 + b"\n\n"]


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
        assert read_events([text[:place], text[place:]]) == [(None, "नमस्ते".encode())]
