"""A streamed answer on its way to the caller: whatever happens, the call is settled once."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from tests.unit.inference.fakes import BOUND, Scene, ScriptedAnswer, Step
from torana.core.usage import Counted, Usage
from torana.dialects.openai_chat.streams import ChatFold
from torana.errors import Draining, LedgerUnavailable, UpstreamCut, UpstreamTimeout
from torana.inference.chat_stream import ChatStream
from torana.ledger.records import Status


def frame(*choices: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


HELLO = frame({"index": 0, "delta": {"content": "Hello"}, "finish_reason": None})
WORLD = frame({"index": 0, "delta": {"content": " world"}, "finish_reason": None})
FINISH = frame({"index": 0, "delta": {}, "finish_reason": "stop"})
USAGE = frame(usage={"prompt_tokens": 10, "completion_tokens": 5})
DONE = b"data: [DONE]\n\n"
COST = 10 + 15


class Stream:
    """A scene with a stream in it."""

    def __init__(
        self, *steps: Step, include_usage: bool = False, scene: Scene | None = None
    ) -> None:
        self.scene = scene or Scene()
        self.call = self.scene.open()
        self.answer = ScriptedAnswer(self.scene.exchange, *steps)
        self.frames = ChatStream(self.call, self.answer, ChatFold(include_usage=include_usage))

    @property
    def settlement(self) -> Any:
        return self.scene.teller.settlement

    @property
    def posts(self) -> int:
        return len(self.scene.teller.posts)


def error_of(event: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(event.removeprefix(b"data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_frames_leave_as_they_come_and_the_call_is_posted_before_the_last():
    stream = Stream(HELLO, WORLD, FINISH + USAGE, DONE)
    for expected in (HELLO, WORLD, FINISH):
        assert next(stream.frames) == expected
        assert stream.posts == 0
    assert next(stream.frames) == DONE
    assert stream.posts == 1
    with pytest.raises(StopIteration):
        next(stream.frames)
    stream.frames.close()
    assert (stream.posts, stream.answer.closed) == (1, 1)
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.OK, COST)
    assert stream.settlement.usage == Usage(input_tokens=10, output_tokens=5)


def test_a_whole_answer_in_one_chunk_ends_the_same_way():
    stream = Stream(HELLO + WORLD + FINISH + USAGE + DONE)
    assert list(stream.frames) == [HELLO + WORLD + FINISH, DONE]
    stream.frames.close()
    assert (stream.posts, stream.settlement.cost_nano) == (1, COST)


def test_the_usage_is_passed_on_when_the_caller_asked():
    stream = Stream(HELLO, FINISH, USAGE, DONE, include_usage=True)
    assert b"".join(stream.frames) == HELLO + FINISH + USAGE + DONE


def test_an_answer_without_usage_costs_its_bound():
    stream = Stream(HELLO, FINISH, DONE)
    assert b"".join(stream.frames) == HELLO + FINISH + DONE
    assert (stream.settlement.cost_nano, stream.settlement.counted) == (BOUND, Counted.BOUND)


def test_comments_keep_the_callers_connection_alive_too():
    stream = Stream(b": ping\n\n", HELLO, b": ping\n\n", FINISH, DONE)
    assert b"".join(stream.frames) == b": ping\n\n" + HELLO + b": ping\n\n" + FINISH + DONE


def test_what_comes_after_done_is_not_passed_on():
    stream = Stream(HELLO + FINISH + DONE + HELLO, HELLO)
    assert b"".join(stream.frames) == HELLO + FINISH + DONE


def test_frames_may_be_cut_anywhere():
    whole = HELLO + WORLD + FINISH + USAGE + DONE
    stream = Stream(*(whole[place : place + 1] for place in range(len(whole))))
    assert b"".join(stream.frames) == HELLO + WORLD + FINISH + DONE
    assert stream.settlement.cost_nano == COST


def test_an_end_without_done_after_a_finish_is_an_end():
    stream = Stream(HELLO, FINISH, USAGE)
    assert b"".join(stream.frames) == HELLO + FINISH + DONE
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.OK)
    assert stream.answer.closed == 1


def test_an_end_without_done_and_without_a_finish_is_an_error_and_no_end():
    stream = Stream(HELLO, WORLD)
    *passed, event = list(stream.frames)
    stream.frames.close()
    assert passed == [HELLO, WORLD]
    assert error_of(event)["code"] == "upstream_cut"
    assert (stream.posts, stream.settlement.status) == (1, Status.ERROR)
    assert stream.settlement.cost_nano == BOUND


def test_a_frame_that_is_cut_after_the_finish_is_an_error_and_no_end():
    stream = Stream(HELLO, FINISH, USAGE[:-5])
    *passed, event = list(stream.frames)
    assert passed == [HELLO, FINISH]
    assert error_of(event)["code"] == "upstream_cut"


def test_of_two_choices_one_finish_is_no_end():
    second = frame({"index": 1, "delta": {"content": "other"}, "finish_reason": None})
    stream = Stream(HELLO, second, FINISH)
    *passed, event = list(stream.frames)
    assert passed == [HELLO, second, FINISH]
    assert error_of(event)["code"] == "upstream_cut"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_a_stream_is_whole_with_every_kind_of_line_end(end):
    steps = [whole.replace(b"\n", end) for whole in (HELLO, FINISH, USAGE, DONE)]
    stream = Stream(*steps)
    assert b"".join(stream.frames) == b"".join(steps[:2]) + DONE
    assert stream.settlement.cost_nano == COST


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamCut("cut"), "upstream_cut"),
        (UpstreamTimeout("slow"), "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("before", [[], [HELLO], [HELLO, FINISH]])
def test_a_cut_is_an_error_event_wherever_it_comes(before, error, code):
    stream = Stream(*before, error)
    *passed, event = list(stream.frames)
    stream.frames.close()
    assert passed == before
    assert error_of(event)["code"] == code
    assert DONE not in b"".join([*passed, event])
    assert (stream.posts, stream.settlement.error_code) == (1, code)
    assert stream.settlement.cost_nano == BOUND
    assert stream.answer.closed >= 1


def test_a_cut_after_the_usage_costs_the_usage():
    stream = Stream(HELLO, FINISH, USAGE, UpstreamCut("cut"))
    assert error_of(list(stream.frames)[-1])["code"] == "upstream_cut"
    assert (stream.settlement.cost_nano, stream.settlement.counted) == (COST, Counted.PROVIDER)


@pytest.mark.parametrize(
    "garbage", [b"data: {garbage\n\n", b"data: []\n\n", b"data: " + b"x" * 9_000_000]
)
def test_garbage_is_an_error_event(garbage):
    stream = Stream(HELLO, garbage, WORLD)
    *passed, event = list(stream.frames)
    stream.frames.close()
    assert passed == [HELLO]
    assert error_of(event)["code"] == "upstream_garbage"
    assert (stream.posts, stream.settlement.cost_nano) == (1, BOUND)


def test_an_error_of_the_provider_in_the_stream_is_told_without_its_words():
    stream = Stream(HELLO, b'data: {"error":{"message":"account acct_42 is out of money"}}\n\n')
    event = list(stream.frames)[-1]
    assert b"acct_42" not in event
    assert error_of(event)["type"] == "server_error"
    assert stream.posts == 1


def test_what_breaks_in_torana_is_told_without_its_words_and_settled(caplog):
    stream = Stream(HELLO, ValueError("a secret"), WORLD)
    *passed, event = list(stream.frames)
    stream.frames.close()
    assert passed == [HELLO]
    assert error_of(event)["code"] == "internal_error"
    assert b"a secret" not in event
    assert (stream.posts, stream.settlement.cost_nano) == (1, BOUND)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "call.broken"
    ]


def test_a_stream_that_nobody_took_is_settled_by_its_close():
    stream = Stream(HELLO, FINISH, USAGE, DONE)
    stream.frames.close()
    assert (stream.posts, stream.answer.closed) == (1, 1)
    assert stream.settlement.status == Status.CANCELLED
    # It was read on to its usage.
    assert stream.settlement.cost_nano == COST


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_stream_that_is_closed_in_the_middle_is_read_on_to_its_usage(taken):
    stream = Stream(HELLO, WORLD, FINISH, USAGE, DONE)
    for _ in range(taken):
        next(stream.frames)
    stream.frames.close()
    assert stream.posts == 1
    assert stream.settlement.status == Status.CANCELLED
    assert stream.settlement.error_code == "caller_gone"
    assert stream.settlement.cost_nano == COST


def test_a_stream_that_is_closed_twice_is_settled_once():
    stream = Stream(HELLO, FINISH, USAGE, DONE)
    stream.frames.close()
    stream.frames.close()
    assert stream.posts == 1


def test_a_caller_that_hangs_up_is_noticed_between_frames_and_the_rest_is_read():
    stream = Stream(HELLO, WORLD, FINISH, USAGE, DONE)
    next(stream.frames)
    stream.scene.link.hang_up()
    # Whoever closed only its sending side still reads; to it no finish is faked.
    assert [error_of(event)["code"] for event in stream.frames] == ["caller_gone"]
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.CANCELLED)
    assert stream.settlement.cost_nano == COST


def test_a_caller_that_hung_up_just_before_the_end_is_cancelled():
    scene = Scene()
    stream = Stream(HELLO, FINISH, USAGE, scene.link.hang_up, DONE, scene=scene)
    assert next(stream.frames) == HELLO
    assert next(stream.frames) == FINISH
    assert [error_of(event)["code"] for event in stream.frames] == ["caller_gone"]
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.CANCELLED)


@pytest.mark.parametrize("error", [UpstreamCut("cut"), UpstreamTimeout("slow")])
def test_a_cut_while_reading_on_for_nobody_is_cancelled_at_the_bound(error):
    stream = Stream(HELLO, error)
    next(stream.frames)
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.CANCELLED)
    assert stream.settlement.cost_nano == BOUND
    assert stream.answer.closed == 1


def test_reading_on_ends_when_its_time_is_up():
    scene = Scene(drain_seconds=5.0)
    stream = Stream(HELLO, lambda: scene.link.hang_up(6.0), WORLD, FINISH, USAGE, DONE, scene=scene)
    next(stream.frames)
    stream.frames.close()
    assert stream.answer.taken == 2
    assert (stream.posts, stream.settlement.status) == (1, Status.CANCELLED)
    assert (stream.settlement.cost_nano, stream.settlement.error_code) == (BOUND, "caller_gone")


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_breaks_while_reading_on_for_nobody_is_settled_too(taken):
    stream = Stream(HELLO, WORLD, ValueError("a secret"))
    for _ in range(taken):
        next(stream.frames)
    # That the server is told of it would be fine; that the call stays open is not.
    with contextlib.suppress(ValueError):
        stream.frames.close()
    assert (stream.posts, stream.settlement.cost_nano) == (1, BOUND)
    assert stream.answer.closed >= 1


def test_a_stopping_process_ends_a_stream_with_an_error_that_asks_to_try_again():
    stream = Stream(HELLO, WORLD, FINISH, DONE)
    assert next(stream.frames) == HELLO
    stream.call.stop(Draining("The server is shutting down.", retry_after=1))
    event = next(stream.frames)
    assert error_of(event)["code"] == "server_shutdown"
    assert list(stream.frames) == []
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.ERROR)
    assert (stream.settlement.error_code, stream.settlement.http_status) == ("server_shutdown", 503)


def test_a_stopping_process_that_reads_on_for_nobody_stops_too():
    scene = Scene()
    stream = Stream(HELLO, scene.link.hang_up, HELLO, scene=scene)
    next(stream.frames)
    stream.call.stop(Draining("stopping"))
    stream.frames.close()
    assert (stream.posts, stream.settlement.cost_nano) == (1, BOUND)


def test_a_call_that_can_not_be_posted_ends_in_an_error_and_not_in_done():
    stream = Stream(HELLO, FINISH, USAGE, DONE)
    stream.scene.teller.post_error = LedgerUnavailable("The ledger is not available.")
    *passed, event = list(stream.frames)
    stream.frames.close()
    assert passed == [HELLO, FINISH]
    assert error_of(event)["code"] == "ledger_unavailable"
    assert stream.posts == 1


def test_after_the_end_the_rest_of_the_connection_is_read_so_that_it_can_be_used_again():
    stream = Stream(HELLO + FINISH + DONE, b"\n", b": the end\n\n")
    assert list(stream.frames)
    stream.frames.close()
    assert stream.answer.taken == 3
    assert stream.answer.closed == 1


def test_trouble_with_the_rest_of_the_connection_is_nobodys_trouble():
    stream = Stream(HELLO + FINISH + USAGE + DONE, UpstreamCut("cut"))
    assert b"".join(stream.frames).endswith(DONE)
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.OK)


def test_the_time_of_the_first_byte_is_kept():
    stream = Stream(HELLO, FINISH, DONE)
    assert list(stream.frames)
    assert stream.settlement.first_byte_ms is not None


@pytest.mark.parametrize(
    "steps",
    [
        [HELLO, FINISH + USAGE, b"data: [DONE]"],
        [HELLO, FINISH + USAGE, b"data: [DONE]\n"],
        [HELLO, FINISH, USAGE.rstrip()],
        [HELLO, FINISH, USAGE[:-1]],
    ],
)
def test_the_empty_line_after_the_last_frame_may_be_missing(steps):
    stream = Stream(*steps)
    assert b"".join(stream.frames) == HELLO + FINISH + DONE
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.OK, COST)


@pytest.mark.parametrize(
    "rest", [b"data: [DON", USAGE[:20], b'data: {"choices": [', HELLO[:-10], b"\xff", b"dat"]
)
def test_half_a_last_frame_is_a_cut(rest):
    stream = Stream(HELLO, FINISH, rest)
    assert error_of(list(stream.frames)[-1])["code"] == UpstreamCut.code
