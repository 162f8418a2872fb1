"""Audio on its way to the caller: whatever happens, the call is settled once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.inference.fakes import BOUND, Scene, ScriptedAnswer, Step
from torana.core.usage import Counted, Usage
from torana.errors import Draining, UpstreamCut, UpstreamGarbage, UpstreamTimeout
from torana.inference.idempotency import MOST_BYTES, StoredAnswer
from torana.inference.keeping import Keeping, StreamKeeping
from torana.inference.media_answers import BinaryStream
from torana.ledger.records import Status

USAGE = Usage(input_tokens=10)
COST = 10


class Stream:
    """A scene with audio in it."""

    def __init__(self, *steps: Step, scene: Scene | None = None, start: bool = True) -> None:
        self.scene = scene or Scene()
        self.call = self.scene.open()
        self.answer = ScriptedAnswer(self.scene.exchange, *steps)
        self.sealed: list[StoredAnswer] = []
        keeping = StreamKeeping(Keeping(seal=self._seal), {"content-type": "audio/mpeg"})
        self.audio = BinaryStream(self.call, self.answer, USAGE, keeping=keeping)
        if start:
            self.audio.start()

    def _seal(self, answer: StoredAnswer) -> bytes:
        self.sealed.append(answer)
        return b"sealed"

    @property
    def settlement(self) -> Any:
        return self.scene.teller.settlement

    @property
    def posts(self) -> int:
        return len(self.scene.teller.posts)


def test_all_but_the_last_byte_leaves_as_it_comes():
    stream = Stream(b"abc", b"d", b"", b"efg")
    taken = [next(stream.audio), next(stream.audio), next(stream.audio)]
    assert taken == [b"ab", b"c", b"def"]
    assert stream.posts == 0
    assert next(stream.audio) == b"g"
    assert stream.posts == 1
    with pytest.raises(StopIteration):
        next(stream.audio)
    stream.audio.close()
    assert (stream.posts, stream.answer.closed) == (1, 1)
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.OK, COST)
    assert (stream.settlement.usage, stream.settlement.answer) == (USAGE, b"sealed")
    assert stream.sealed == [
        StoredAnswer(b"abcdefg", {"content-type": "audio/mpeg"}, streamed=True)
    ]


def test_a_single_byte_is_sent_after_the_posting():
    stream = Stream(b"a")
    assert next(stream.audio) == b"a"
    assert stream.posts == 1


def test_long_audio_is_not_kept():
    piece = b"x" * (MOST_BYTES // 2 + 1)
    stream = Stream(piece, piece)
    assert sum(map(len, stream.audio)) == 2 * len(piece)
    assert stream.sealed == []


@pytest.mark.parametrize(
    ("steps", "error"),
    [((), UpstreamGarbage), ((UpstreamTimeout("late"),), UpstreamTimeout)],
)
def test_what_fails_before_the_first_byte_is_left_to_the_caller_of_start(steps, error):
    stream = Stream(*steps, start=False)
    with pytest.raises(error):
        stream.audio.start()
    assert stream.posts == 0


def test_a_cut_ends_the_connection_and_costs_the_bound():
    stream = Stream(b"abc", UpstreamCut("It ended."))
    assert next(stream.audio) == b"ab"
    with pytest.raises(ConnectionResetError):
        next(stream.audio)
    stream.audio.close()
    found = stream.settlement
    assert (found.status, found.error_code) == (Status.ERROR, "upstream_cut")
    assert (found.cost_nano, found.counted) == (BOUND, Counted.BOUND)
    assert stream.sealed == []


def test_what_breaks_in_our_own_code_ends_the_connection_and_costs_the_bound():
    stream = Stream(b"abc", ValueError("a mistake"))
    next(stream.audio)
    with pytest.raises(ConnectionResetError):
        next(stream.audio)
    assert stream.settlement.error_code == "internal_error"


def test_a_stopping_server_is_the_reason_that_is_posted():
    scene = Scene()
    stream = Stream(
        b"abc", lambda: scene.opened[0].stop(Draining("It is stopping.")), b"def", scene=scene
    )
    next(stream.audio)
    with pytest.raises(ConnectionResetError):
        list(stream.audio)
    assert stream.settlement.error_code == "server_shutdown"


def test_a_caller_who_has_gone_is_no_reason_to_stop_reading():
    scene = Scene()
    stream = Stream(b"abc", scene.link.hang_up, b"def", b"ghi", scene=scene)
    assert next(stream.audio) == b"ab"
    with pytest.raises(ConnectionResetError):
        next(stream.audio)
    assert stream.answer.taken == 4
    found = stream.settlement
    assert (found.status, found.cost_nano) == (Status.CANCELLED, COST)


def test_audio_that_nobody_takes_is_read_to_its_end():
    stream = Stream(b"abc", b"def")
    stream.audio.close()
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.CANCELLED, COST)


def test_a_caller_who_has_gone_for_too_long_ends_the_reading():
    scene = Scene(drain_seconds=1.0)
    stream = Stream(b"abc", lambda: scene.link.hang_up(2.0), b"def", scene=scene)
    stream.audio.close()
    found = stream.settlement
    assert (found.status, found.error_code) == (Status.CANCELLED, "caller_gone")
    assert found.counted is Counted.BOUND


def test_a_cut_while_nobody_listens_costs_the_bound():
    stream = Stream(b"abc", UpstreamCut("It ended."))
    stream.audio.close()
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.CANCELLED, BOUND)
