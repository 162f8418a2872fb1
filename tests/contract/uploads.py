"""What must hold when a request is sent in pieces.

`test_http_upload.py` runs each check under threads, plain and over TLS; `outbound_under_gevent.py`
runs them all in a process that gevent has patched, as production is.
"""

from __future__ import annotations

import queue
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.contract.calls import LIMIT, PATIENT, exchange, post
from tests.contract.receivers import (
    WAIT_SECONDS,
    Connection,
    Given,
    Pieces,
    Receiver,
    Script,
    take_all,
)
from torana.errors import InternalError, UpstreamCut, UpstreamError, UpstreamTimeout
from torana.outbound.client import Exchange, HttpClient, Timeouts

MIB = 1024 * 1024
LARGE = 16 * MIB
"""More than the buffers of a connection hold."""
MUCH_LATER = 5.0


@dataclass(frozen=True)
class Sender:
    """A client and the server that it sends to."""

    http: HttpClient
    server: Receiver

    def __call__(
        self,
        body: Pieces | Given | bytes,
        script: Script = take_all,
        *,
        timeouts: Timeouts = PATIENT,
        over: Exchange | None = None,
    ) -> tuple[int, bytes]:
        """Send a body; the status and the body of the answer."""
        self.server.script = script
        answer = post(self.http, self.server.url, body, timeouts=timeouts, over=over)
        try:
            return answer.status, answer.read(LIMIT)
        finally:
            answer.close()


def check_a_body_arrives_whole_and_its_connection_serves_again(send: Sender) -> None:
    taken: list[tuple[int, bool, int]] = []

    def take(connection: Connection) -> None:
        while connection.read_head():
            chunked = b"transfer-encoding" in connection.head.lower()
            taken.append((connection.length, chunked, connection.read(connection.length)))
            connection.answer()

    bodies: list[Pieces | Given | bytes]
    bodies = [Pieces(LARGE), b"{}", Pieces(3, piece=1), Pieces(0), Given(2, [b"", b"ab", b""])]
    assert {send(body, take) for body in bodies} == {(200, b"1")}
    sizes = [LARGE, 2, 3, 0, 2]
    assert taken == [(size, False, size) for size in sizes]


def check_a_body_is_not_held_in_memory(send: Sender) -> None:
    send(b"{}")
    tracemalloc.start()
    try:
        assert send(Pieces(128 * MIB))[0] == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def check_each_try_begins_anew(send: Sender) -> None:
    body = Pieces(LARGE)
    with pytest.raises(UpstreamCut):
        send(body, lambda connection: ignore(connection.read_head() and connection.read(MIB)))
    assert send(body)[0] == 200
    assert body.opened == 2


def check_an_answer_before_the_end_is_given_although_the_server_closes(send: Sender) -> None:
    for taken, status in ((0, 401), (MIB, 413), (3 * MIB, 429), (1, 500)):
        body = Pieces(LARGE)

        def refuse(connection: Connection, taken: int = taken, status: int = status) -> None:
            connection.read_head()
            connection.read(taken)
            connection.answer(status, "connection: close")

        assert send(body, refuse)[0] == status
        assert body.given < LARGE


def check_an_answer_before_the_end_is_given_although_the_server_reads_no_more(send: Sender) -> None:
    gate = threading.Event()

    def refuse(connection: Connection) -> None:
        connection.read_head()
        connection.read(MIB)
        connection.answer(413)
        gate.wait(WAIT_SECONDS)

    began = time.monotonic()
    assert send(Pieces(LARGE), refuse)[0] == 413
    assert time.monotonic() - began < MUCH_LATER
    gate.set()


def check_a_connection_with_half_a_request_is_not_used_again(send: Sender) -> None:
    def refuse(connection: Connection) -> None:
        connection.read_head()
        connection.answer(413)
        connection.wait_for_hang_up()

    status, first = send(Pieces(LARGE), refuse)
    assert status == 413
    assert send.server.over.get(timeout=WAIT_SECONDS) == int(first)
    assert send(Pieces(MIB))[1] != first


def check_a_good_answer_that_begins_early_does_not_end_the_upload(send: Sender) -> None:
    def speak_early(connection: Connection) -> None:
        connection.read_head()
        connection.read(MIB)
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        size = MIB + connection.read(connection.length - MIB)
        connection.write(b"whole" if size == LARGE else b"parts")
        connection.wait_for_hang_up()

    assert send(Pieces(LARGE), speak_early) == (200, b"whole")


def check_an_interim_answer_does_not_end_the_upload(send: Sender) -> None:
    def go_on(connection: Connection) -> None:
        connection.read_head()
        connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read(connection.length)
        connection.answer(201)

    assert send(Pieces(LARGE), go_on)[0] == 201


def check_a_server_that_hangs_up_without_a_word_is_a_cut(send: Sender) -> None:
    def reset(connection: Connection) -> None:
        connection.read_head()
        connection.reset()

    def close(connection: Connection) -> None:
        connection.read_head()
        connection.read(MIB)

    def talk_nonsense(connection: Connection) -> None:
        connection.read_head()
        connection.write(b"220 smtp.example.org ESMTP\r\n\r\n")

    for script in (reset, close, talk_nonsense):
        over = exchange()
        with pytest.raises(UpstreamCut) as failure:
            send(Pieces(LARGE), script, over=over)
        assert over.sent
        assert failure.value.billable


def check_a_server_that_stops_reading_is_a_timeout(send: Sender) -> None:
    gate = threading.Event()

    def stall(connection: Connection) -> None:
        connection.read_head()
        gate.wait(WAIT_SECONDS)

    silent = Timeouts(connect=10, first_byte=60, idle=0.4)
    for seconds, timeouts in ((20.0, silent), (0.6, PATIENT)):
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout):
            send(Pieces(LARGE), stall, timeouts=timeouts, over=exchange(seconds))
        assert time.monotonic() - began < MUCH_LATER
    gate.set()


def check_a_slow_server_that_reads_on_is_waited_for(send: Sender) -> None:
    def read_slowly(connection: Connection) -> None:
        connection.read_head()
        size = connection.read(LARGE - 12 * MIB)
        for _ in range(12):
            time.sleep(0.15)
            size += connection.read(MIB)
        connection.answer(200 if size == LARGE else 400)
        connection.wait_for_hang_up()

    # Longer than a connection may take, than any silence may last, and than an answer may.
    limits = Timeouts(connect=1.0, first_byte=1.4, idle=1.4)
    began = time.monotonic()
    assert send(Pieces(LARGE), read_slowly, timeouts=limits)[0] == 200
    assert time.monotonic() - began > 1.6


def check_a_large_body_in_one_piece_may_take_longer_than_connecting(send: Sender) -> None:
    def read_late(connection: Connection) -> None:
        connection.read_head()
        time.sleep(0.7)
        connection.read(connection.length)
        connection.answer()

    limits = Timeouts(connect=0.4, first_byte=10, idle=10)
    assert send(b"x" * LARGE, read_late, timeouts=limits)[0] == 200


def check_the_wait_for_an_answer_begins_when_all_is_sent(send: Sender) -> None:
    gate = threading.Event()

    def keep_silent(connection: Connection) -> None:
        connection.read_head()
        connection.read(connection.length)
        gate.wait(WAIT_SECONDS)

    limits = Timeouts(connect=10, first_byte=0.4, idle=10)
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        send(Pieces(LARGE), keep_silent, timeouts=limits)
    assert 0.3 < time.monotonic() - began < MUCH_LATER
    gate.set()


def check_an_upload_can_be_ended_from_outside(send: Sender) -> None:
    over = exchange()

    def stall(connection: Connection) -> None:
        connection.read_head()
        threading.Timer(0.1, over.abort).start()
        time.sleep(0.3)
        connection.wait_for_hang_up()

    began = time.monotonic()
    with pytest.raises(UpstreamError):
        send(Pieces(4 * LARGE), stall, over=over)
    assert time.monotonic() - began < MUCH_LATER
    assert send.server.over.get(timeout=WAIT_SECONDS)


def check_a_body_that_is_not_what_it_says_is_an_error_of_ours(send: Sender) -> None:
    broken: list[Given] = [
        Given(10, [b"short"]),
        Given(10, [b"much longer"]),
        Given(10, [b"ten bytes!", b"!"]),
        Given(10, [b"half", OSError("the disk is gone")]),
        Given(10, [BrokenPipeError("not the provider's")]),
    ]
    for body in broken:
        with pytest.raises(InternalError):
            send(body)
        # Nothing is left that the next request could be mistaken for.
        assert send(b"{}")[0] == 200


def check_nothing_is_sent_beyond_what_a_body_says_it_has(send: Sender) -> None:
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def count(connection: Connection) -> None:
        connection.read_head()
        arrived.put(connection.read(MIB))

    with pytest.raises(InternalError):
        send(Given(10, [b"ten bytes!", b"GET / HTTP/1.1", b"host: elsewhere"]), count)
    assert arrived.get(timeout=WAIT_SECONDS) == 10


def ignore(_value: object) -> None:
    """For scripts of one line."""


CHECKS: dict[str, Callable[[Sender], None]] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}
