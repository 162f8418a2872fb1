"""A stream that is read in one dialect and written in another."""

from __future__ import annotations

from typing import Any

import pytest

from torana.core.chat import Finish, Text, Thinking, ToolCall
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Ended,
    Event,
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
)
from torana.core.usage import Usage
from torana.dialects.base import StreamReader, StreamWriter
from torana.dialects.translated import TranslatedFold
from torana.errors import ToranaError, UpstreamCut, UpstreamGarbage

USAGE = Usage(input_tokens=3, output_tokens=4)


class Reader(StreamReader):
    """Reads a number: the events of a frame by its place."""

    def __init__(self, *frames: list[Event], held: tuple[Event, ...] = ()) -> None:
        self._frames = frames
        self._held = list(held)
        self.ends = False

    @property
    def finished(self) -> bool:
        return self.ends

    def read(self, data: bytes) -> list[Event]:
        if data == b"garbage":
            raise UpstreamGarbage("It is not of this dialect.")
        place = int(data)
        self.done = place == len(self._frames) - 1
        return self._frames[place]

    def finish(self) -> list[Event]:
        return self._held


class Writer(StreamWriter):
    """Writes the names of events."""

    def __init__(self) -> None:
        self.losses: list[str] = []
        self.content: bytes | None = None

    def write(self, event: Event) -> bytes:
        if isinstance(event, Signed):
            self.losses.append("thinking")
            return b""
        if isinstance(event, Ended):
            self.content = b"kept"
            return b""
        return type(event).__name__.encode() + b"\n"

    def end(self) -> bytes:
        return b"end\n"

    def error(self, error: ToranaError) -> bytes:
        return f"error {error.code}\n".encode()

    def ping(self) -> bytes:
        return b"ping\n"

    @property
    def lost(self) -> tuple[str, ...]:
        return tuple(self.losses)

    @property
    def kept(self) -> bytes | None:
        return self.content


def folded(
    *frames: list[Event], held: tuple[Event, ...] = (), **options: Any
) -> tuple[TranslatedFold, Reader, Writer]:
    reader, writer = Reader(*frames, held=held), Writer()
    return TranslatedFold(reader, writer, **options), reader, writer


def passed(fold: TranslatedFold, data: bytes) -> bytes:
    return fold.pass_on(b"data: " + data + b"\n\n", data)


def test_what_the_reader_finds_is_what_the_writer_writes():
    fold, _, _ = folded([Began("a", "m")], [], [PartBegan(0, Text("")), TextGrew(0, "x")])
    found = [(passed(fold, data), fold.done) for data in (b"0", b"1", b"2")]
    assert found == [(b"Began\n", False), (b"", False), (b"PartBegan\nTextGrew\n", True)]


def test_whether_it_has_finished_is_for_the_reader_to_say():
    fold, reader, _ = folded([])
    found = [fold.finished]
    reader.ends = True
    assert [*found, fold.finished] == [False, True]


def test_the_usage_that_was_told_last_counts():
    fold, _, _ = folded([UsageTold(Usage(input_tokens=3))], [UsageTold(USAGE)])
    found = [fold.usage]
    for data in (b"0", b"1"):
        passed(fold, data)
        found.append(fold.usage)
    assert found == [None, Usage(input_tokens=3), USAGE]


SPOKEN: list[Event] = [
    PartBegan(0, Thinking("")),
    TextGrew(0, "Hm. "),
    PartEnded(0),
    PartBegan(1, Text("")),
    TextGrew(1, "It is "),
    TextGrew(1, "so. "),
    PartBegan(2, ToolCall("call_1", "f", "")),
    ArgumentsGrew(2, '{"a":'),
    ArgumentsGrew(2, "1}"),
]


def test_the_text_that_has_passed_is_remembered_where_that_is_wanted():
    fold, _, _ = folded(SPOKEN, keeps_text=True)
    assert fold.visible == ""
    passed(fold, b"0")
    assert fold.visible == 'Hm. It is so. {"a":1}'


def test_else_it_is_not_remembered():
    fold, _, _ = folded(SPOKEN)
    passed(fold, b"0")
    assert fold.visible is None


def test_losses_of_both_sides_are_named_once():
    fold, _, writer = folded([Lost("citations"), Lost("event=NEW"), Lost("citations")])
    found = [fold.lost]
    passed(fold, b"0")
    writer.losses += ["event=NEW", "audio"]
    assert [*found, fold.lost] == [(), ("citations", "event=NEW", "audio")]


def test_at_its_end_come_the_events_that_were_held_back_and_then_the_last_frames():
    held = (TextGrew(0, "!"), Lost("tail"), UsageTold(USAGE), Ended(Finish.STOP))
    fold, _, _ = folded([], held=held, keeps_text=True)
    assert fold.kept is None
    assert fold.end() == b"TextGrew\nLost\nUsageTold\nend\n"
    assert (fold.usage, fold.lost, fold.visible) == (USAGE, ("tail",), "!")
    assert fold.kept == b"kept"


@pytest.mark.parametrize("frame", [b": ping\n\n", b"event: ping\n\n", b"id: 7\r\n\r\n"])
@pytest.mark.parametrize("data", [None, b""])
def test_a_frame_without_data_is_a_sign_of_life(frame, data):
    fold, _, _ = folded([])
    assert fold.pass_on(frame, data) == b"ping\n"
    assert not fold.done


@pytest.mark.parametrize("frame", [b"", b"\n\n", b"\r\n"])
def test_an_empty_frame_is_nothing(frame):
    fold, _, _ = folded([])
    assert fold.pass_on(frame, None) == b""


def test_what_is_not_of_the_dialect_is_an_error_and_changes_nothing():
    fold, _, _ = folded([UsageTold(USAGE)], [])
    passed(fold, b"0")
    with pytest.raises(UpstreamGarbage):
        passed(fold, b"garbage")
    assert (fold.usage, fold.done, fold.finished) == (USAGE, False, False)


def test_errors_and_pings_are_written_in_the_callers_dialect():
    fold, _, _ = folded([])
    assert fold.error(UpstreamCut("cut")) == b"error upstream_cut\n"
    assert fold.ping() == b"ping\n"
