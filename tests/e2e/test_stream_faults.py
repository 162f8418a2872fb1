"""A stream that fails after its first byte: an error event, no `[DONE]`, no faked finish, a row."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream, Script, Turn, chunk
from tests.e2e.checks import DONE, error_object, events, is_end, text_of
from tests.e2e.constants import PROMPT, PROVIDER_WORDS
from tests.support.server import RunningServer


def _cut(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("so far ")
    turn.cut()


def _cut_in_a_frame(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("so far ")
    turn.write(b'12\r\ndata: {"id": "chat\r\n0\r\n\r\n')


def _reset(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("so far ")
    turn.reset()


def _end_without_a_finish(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("so far ")
    turn.write(b"0\r\n\r\n")


def _say(data: bytes) -> Script:
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("so far ")
        turn.raw_event(data)
        turn.end_stream()

    return play


def _fall_silent(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("so far ")
    assert turn.wait_for_hang_up()


ERROR_EVENT = b'{"error": {"message": "%b", "type": "server_error"}}' % PROVIDER_WORDS.encode()
FAULTS: dict[str, tuple[Script, str]] = {
    "cut": (_cut, "upstream_cut"),
    "cut in a frame": (_cut_in_a_frame, "upstream_cut"),
    "reset": (_reset, "upstream_cut"),
    "an end without a finish": (_end_without_a_finish, "upstream_cut"),
    "garbage": (_say(b"<html>"), "upstream_garbage"),
    "a list": (_say(b"[]"), "upstream_garbage"),
    "not UTF-8": (_say(b'{"choices": [{"finish_reason": "\xff"}]}'), "upstream_garbage"),
    "nested too deep": (_say(b'{"x": ' + b"[" * 50_000), "upstream_garbage"),
    "an error event": (_say(ERROR_EVENT), "upstream_garbage"),
    "an error in a word": (_say(b'{"error": "overloaded"}'), "upstream_garbage"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_broken_stream_ends_in_an_error_event(
    server: RunningServer, upstream: FakeUpstream, case: str
):
    script, code = FAULTS[case]
    _breaks(server, upstream.model(script), code)


def test_a_stream_that_falls_silent_ends_in_an_error_event(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    _breaks(server_on_sqlite, upstream.model(_fall_silent), "upstream_timeout")


def _breaks(server: RunningServer, model: str, code: str) -> None:
    reply = server.chat(model, PROMPT, stream=True, max_tokens=40)
    assert reply.status == 200
    seen = events(reply.body)
    assert text_of(seen) == "so far "
    error = error_object(seen[-1])
    assert error["code"] == code
    assert PROVIDER_WORDS not in reply.body.decode()
    assert not any(is_end(event) for event in seen)
    assert sum("error" in event for event in seen) == 1
    entry = server.entry(reply.request_id)
    assert (entry["status"], entry["error_code"]) == ("error", code)
    # The provider has not told the usage, so the bound is charged.
    assert (entry["counted"], entry["cost_nano"]) == ("bound", entry["bound_nano"])
    assert entry["bound_nano"] > 0
    assert entry["streamed"] is True


@pytest.mark.parametrize(
    ("model", "code"),
    [("echo/words=9,cut=3", "upstream_cut"), ("echo/words=9,garbage=1", "upstream_garbage")],
)
def test_the_sdk_raises_on_it(client: openai.OpenAI, server: RunningServer, model: str, code: str):
    pieces: list[Any] = []
    stream = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": PROMPT}], stream=True
    )
    with stream, pytest.raises(openai.APIError) as failure:
        pieces.extend(stream)
    assert failure.value.code == code
    assert failure.value.type == "server_error"
    assert pieces
    assert all(piece.choices[0].finish_reason is None for piece in pieces)
    entry = server.entry(stream.response.headers["x-request-id"])
    assert (entry["status"], entry["error_code"]) == ("error", code)


def test_a_stream_that_breaks_after_its_usage_costs_its_usage(
    server: RunningServer, upstream: FakeUpstream
):
    def tell_usage_and_break(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("so far ")
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        turn.event({**chunk({}), "choices": [], "usage": usage})
        turn.cut()

    reply = server.chat(upstream.model(tell_usage_and_break), PROMPT, stream=True)
    assert error_object(events(reply.body)[-1])["code"] == "upstream_cut"
    entry = server.entry(reply.request_id)
    assert (entry["status"], entry["counted"]) == ("error", "provider")
    assert (entry["input_tokens"], entry["output_tokens"]) == (3, 2)
    assert 0 < entry["cost_nano"] < entry["bound_nano"]


def test_a_stream_that_ends_with_a_finish_but_no_done_is_completed(
    server: RunningServer, upstream: FakeUpstream
):
    def forget_done(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("all of it")
        turn.event(chunk({}, finish="stop"))
        turn.write(b"0\r\n\r\n")

    reply = server.chat(upstream.model(forget_done), PROMPT, stream=True)
    assert events(reply.body)[-1] == DONE
    assert server.entry(reply.request_id)["status"] == "ok"


def test_frames_pass_as_they_are_wherever_the_bytes_are_cut(
    server: RunningServer, upstream: FakeUpstream
):
    words = "naïve 🌍 日本語 \\u00e9"
    frame = b'data: {"choices": [{"delta": {"content": "%b"}}], "x": 1.10}\r\n\r\n' % words.encode()
    comment = b": still here\n\n"
    last = b'data:{"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    def byte_by_byte(turn: Turn) -> None:
        turn.begin_stream()
        for byte in frame + comment + last:
            turn.write(b"1\r\n%c\r\n" % byte)
        turn.write(b"0\r\n\r\n")

    reply = server.chat(upstream.model(byte_by_byte), PROMPT, stream=True)
    assert reply.body == frame + comment + last
