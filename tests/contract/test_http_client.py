"""The HTTP client: four limits of time, answers that are cut or wrong, and what each is called."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.contract.calls import HASTY, LIMIT, PATIENT, chat_body, exchange, post
from tests.contract.fake_upstream import FakeUpstream, Script, Turn
from torana.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.outbound.client import Answer, HttpClient, Timeouts

MUCH_LATER = 5.0
"""A limit that was asked for in tenths of a second has surely been missed by then."""


def _call(
    http: HttpClient,
    upstream: FakeUpstream,
    script: Script,
    *,
    timeouts: Timeouts = PATIENT,
    seconds: float = 20.0,
) -> Answer:
    url = f"{upstream.url}/chat/completions"
    body = chat_body(upstream.model(script))
    return post(http, url, body, timeouts=timeouts, over=exchange(seconds))


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port that takes no more connections: its queue is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        waiting = []
        for _ in range(8):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
            waiting.append(caller)
        yield port
        for caller in waiting:
            caller.close()


def test_a_server_that_accepts_nobody_is_unreachable_in_time(http: HttpClient, full_port: int):
    timeouts = Timeouts(connect=0.3, first_byte=60, idle=60)
    over = exchange()
    began = time.monotonic()
    with pytest.raises(UpstreamUnreachable):
        post(http, f"http://127.0.0.1:{full_port}/v1", timeouts=timeouts, over=over)
    assert time.monotonic() - began < MUCH_LATER
    assert not over.sent


def test_a_server_that_never_answers_is_a_timeout_in_time(http: HttpClient, upstream: FakeUpstream):
    # The limit is for the status line: the patience with connecting does not add to it.
    timeouts = Timeouts(connect=10, first_byte=0.3, idle=60)
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout) as failure:
        _call(http, upstream, lambda turn: _ignore(turn.wait_for_hang_up()), timeouts=timeouts)
    assert time.monotonic() - began < MUCH_LATER
    assert failure.value.billable


def test_half_a_status_line_is_none(http: HttpClient, upstream: FakeUpstream):
    def begin(turn: Turn) -> None:
        turn.write(b"HTTP/1.1 200")
        turn.wait_for_hang_up()

    with pytest.raises(UpstreamTimeout):
        _call(http, upstream, begin, timeouts=HASTY).read(LIMIT)


def test_silence_between_bytes_is_a_timeout(http: HttpClient, upstream: FakeUpstream):
    def fall_silent(turn: Turn) -> None:
        turn.head(content_length="10")
        turn.write(b"12345")
        turn.wait_for_hang_up()

    answer = _call(http, upstream, fall_silent, timeouts=HASTY)
    chunks = answer.chunks()
    assert next(chunks) == b"12345"
    with pytest.raises(UpstreamTimeout):
        next(chunks)
    answer.close()


def test_a_slow_answer_that_is_never_silent_is_read(http: HttpClient, upstream: FakeUpstream):
    def drip(turn: Turn) -> None:
        turn.head(content_length="10")
        for number in range(10):
            time.sleep(0.1)
            turn.write(b"%d" % number)

    answer = _call(http, upstream, drip, timeouts=Timeouts(connect=5, first_byte=5, idle=0.6))
    assert answer.read(LIMIT) == b"0123456789"


def test_a_call_as_a_whole_has_a_limit_too(http: HttpClient, upstream: FakeUpstream):
    ended = threading.Event()

    def talk_for_ever(turn: Turn) -> None:
        turn.begin_stream()
        try:
            while True:
                time.sleep(0.05)
                turn.words("on and on")
        except OSError:
            ended.set()

    answer = _call(http, upstream, talk_for_ever, seconds=0.6)
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        answer.read(LIMIT)
    assert time.monotonic() - began < MUCH_LATER
    answer.close()
    assert ended.wait(5)


def test_a_call_without_time_is_not_sent(http: HttpClient, upstream: FakeUpstream):
    over = exchange(-1)
    model = upstream.model()
    with pytest.raises(UpstreamUnreachable):
        post(http, f"{upstream.url}/chat/completions", chat_body(model), over=over)
    assert not over.sent
    assert upstream.seen(model) == []


def test_where_nobody_listens_nothing_was_sent(http: HttpClient, dead_url: str):
    over = exchange()
    with pytest.raises(UpstreamUnreachable) as failure:
        post(http, dead_url, over=over)
    assert (over.sent, failure.value.retryable, failure.value.billable) == (False, True, False)


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://127.0.0.1:99999/", "ftp://x/"])
def test_an_address_that_is_none_is_unreachable(http: HttpClient, url: str):
    with pytest.raises(UpstreamUnreachable):
        post(http, url)


def _ignore(_value: object) -> None:
    """For scripts of one line."""


def _shorter_than_said(turn: Turn) -> None:
    turn.head(content_length="100")
    turn.write(b"only this")
    turn.cut()


def _cut_in_a_chunk(turn: Turn) -> None:
    turn.head(transfer_encoding="chunked")
    turn.write(b"5\r\n12345\r\n10\r\n123")
    turn.cut()


def _cut_between_chunks(turn: Turn) -> None:
    turn.head(transfer_encoding="chunked")
    turn.write(b"5\r\n12345\r\n")
    turn.cut()


def _reset_in_the_body(turn: Turn) -> None:
    turn.head(content_length="100")
    turn.write(b"only this")
    turn.reset()


def _a_chunk_of_no_size(turn: Turn) -> None:
    turn.head(transfer_encoding="chunked")
    turn.write(b"5\r\n12345\r\nxyz\r\n12345\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "script",
    [
        _shorter_than_said,
        _cut_in_a_chunk,
        _cut_between_chunks,
        _reset_in_the_body,
        _a_chunk_of_no_size,
    ],
    ids=lambda script: str(script.__name__).strip("_").replace("_", " "),
)
def test_a_body_that_is_not_whole_is_a_cut(
    http: HttpClient, upstream: FakeUpstream, script: Script
):
    with pytest.raises(UpstreamCut) as failure:
        _call(http, upstream, script).read(LIMIT)
    assert failure.value.billable


def _no_word(turn: Turn) -> None:
    turn.cut()


def _reset(turn: Turn) -> None:
    turn.reset()


def _no_http(turn: Turn) -> None:
    turn.write(b"220 smtp.example.org ESMTP\r\n\r\n")
    turn.cut()


def _too_many_headers(turn: Turn) -> None:
    turn.write(b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 5000 + b"\r\n")
    turn.cut()


@pytest.mark.parametrize(
    "script",
    [_no_word, _reset, _no_http, _too_many_headers],
    ids=lambda script: str(script.__name__).strip("_").replace("_", " "),
)
def test_an_answer_without_a_head_may_have_been_processed(
    http: HttpClient, upstream: FakeUpstream, script: Script
):
    over = exchange()
    body = chat_body(upstream.model(script))
    with pytest.raises(UpstreamError) as failure:
        post(http, f"{upstream.url}/chat/completions", body, over=over)
    assert isinstance(failure.value, (UpstreamCut, UpstreamGarbage))
    assert (over.sent, failure.value.billable, failure.value.retryable) == (True, True, False)


def test_an_answer_over_the_limit_is_garbage_and_is_not_read_on(
    http: HttpClient, upstream: FakeUpstream
):
    ended = threading.Event()

    def flood(turn: Turn) -> None:
        turn.head(transfer_encoding="chunked")
        piece = b"x" * 65_536
        try:
            while True:
                turn.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        except OSError:
            ended.set()

    answer = _call(http, upstream, flood)
    with pytest.raises(UpstreamGarbage):
        answer.read(LIMIT)
    answer.close()
    assert ended.wait(5)


def test_an_empty_body_is_empty(http: HttpClient, upstream: FakeUpstream):
    answer = _call(http, upstream, lambda turn: turn.head(204))
    assert (answer.status, answer.read(LIMIT)) == (204, b"")


def test_a_body_without_length_ends_with_its_connection(http: HttpClient, upstream: FakeUpstream):
    def until_the_end(turn: Turn) -> None:
        turn.head(connection="close")
        turn.write(b"all of it")
        turn.cut()

    assert _call(http, upstream, until_the_end).read(LIMIT) == b"all of it"


def test_compressed_bytes_are_left_as_they_are(http: HttpClient, upstream: FakeUpstream):
    answer = _call(http, upstream, lambda turn: turn.reply(b"\x1f\x8b", content_encoding="gzip"))
    assert answer.read(LIMIT) == b"\x1f\x8b"
