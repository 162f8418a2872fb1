"""What must hold when a provider is silent and its reader wants to be told.

`test_http_silence.py` runs each check under threads; `silences_under_gevent.py` runs them all in a
process that gevent has patched, as production is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.contract.calls import PATIENT, exchange, post
from tests.contract.wires import WAIT_SECONDS, Wire, WireServer
from torana.errors import UpstreamCut, UpstreamError, UpstreamTimeout
from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts

SHORT = 0.04
"""A silence that a check waits for."""
LONG = 60.0
"""A silence that never comes."""
MUCH_LATER = 5.0
END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Caller:
    """A client and the server it calls."""

    http: HttpClient
    server: WireServer

    def begin(
        self,
        path: str = "/chunked",
        *,
        timeouts: Timeouts = PATIENT,
        over: Exchange | None = None,
    ) -> tuple[Answer, Wire]:
        """Ask; the answer's head has come and its body has not begun."""
        answer = post(self.http, self.server.url + path, timeouts=timeouts, over=over)
        return answer, self.server.wire()


def until_the_end(chunks: Iterator[bytes]) -> bytes:
    """All that comes; a check that no end comes to fails."""
    deadline = time.monotonic() + WAIT_SECONDS
    parts = []
    for part in chunks:
        assert time.monotonic() < deadline, "there is no end"
        parts.append(part)
    return b"".join(parts)


def check_a_silence_is_told_again_and_again(caller: Caller) -> None:
    answer, wire = caller.begin()
    chunks = answer.chunks(silence=SHORT)
    wire.send_chunk(b"one")
    assert next(chunks) == b"one"
    began = time.monotonic()
    assert [next(chunks) for _ in range(4)] == [b""] * 4
    assert 3 * SHORT < time.monotonic() - began < MUCH_LATER
    wire.send_chunk(b"two")
    wire.send(END)
    assert until_the_end(chunks) == b"two"


def check_what_has_come_is_no_silence(caller: Caller) -> None:
    # In one piece: most of it waits in the client's buffers, where no socket tells of it.
    words = [b"%d" % number * 40 for number in range(2000)]
    answer, wire = caller.begin()
    wire.send(b"".join(b"%x\r\n%b\r\n" % (len(word), word) for word in words) + END)
    began = time.monotonic()
    parts = list(answer.chunks(silence=LONG))
    assert b"" not in parts
    assert b"".join(parts) == b"".join(words)
    assert time.monotonic() - began < MUCH_LATER


def check_a_body_that_stops_at_any_byte_is_a_silence_and_goes_on(caller: Caller) -> None:
    body = b"3\r\nabc\r\n2;x\r\nde\r\n" + END
    for stop in range(len(body)):
        answer, wire = caller.begin()
        if stop:
            wire.send(body[:stop])
        rest = threading.Timer(4 * SHORT, wire.send, [body[stop:]])
        rest.start()
        parts = list(answer.chunks(silence=SHORT))
        rest.join()
        assert b"".join(parts) == b"abcde", stop
        if stop < len(body) - 1:  # In what follows the last chunk it is not told.
            assert b"" in parts, stop


def check_bodies_of_every_kind_end_after_a_silence(caller: Caller) -> None:
    for path, end in (("/chunked", END), ("/length", b""), ("/close", None)):
        answer, wire = caller.begin(path)
        chunks = answer.chunks(silence=SHORT)
        if path == "/chunked":
            wire.send_chunk(b"abc")
        else:
            wire.send(b"abc")
        assert next(chunks) == b"abc"
        assert next(chunks) == b""
        if path == "/chunked":
            wire.send_chunk(b"def")
        else:
            wire.send(b"def")
        if end is None:
            wire.cut()
        elif end:
            wire.send(end)
        assert until_the_end(chunks) == b"def"
        assert list(answer.chunks(silence=SHORT)) == []
        answer.close()


def check_a_part_of_a_tls_record_is_no_word(caller: Caller) -> None:
    if not caller.server.is_secure:
        return
    answer, wire = caller.begin()
    record = wire.sealed(b"5\r\nhello\r\n" + END)
    wire.send_raw(record[:9])
    chunks = answer.chunks(silence=SHORT)
    assert [next(chunks) for _ in range(2)] == [b""] * 2
    wire.send_raw(record[9:])
    assert until_the_end(chunks) == b"hello"


def check_silence_has_its_limit_although_it_is_told(caller: Caller) -> None:
    limits = Timeouts(connect=5, first_byte=5, idle=0.5)
    for silence in (0.1, LONG):
        answer, wire = caller.begin(timeouts=limits)
        wire.send_chunk(b"one")
        chunks = answer.chunks(silence=silence)
        assert next(chunks) == b"one"
        began = time.monotonic()
        told = 0
        while True:
            try:
                part = next(chunks)
            except UpstreamTimeout:
                break
            assert part == b""
            told += 1
        # What keeps the limits looks five times a second.
        assert 0.4 < time.monotonic() - began < MUCH_LATER
        assert told >= 2 if silence < 1 else told == 0
        answer.close()


def check_a_call_has_its_limit_although_silence_is_told(caller: Caller) -> None:
    answer, wire = caller.begin(over=exchange(0.6))
    wire.send_chunk(b"one")
    began = time.monotonic()
    with pytest.raises(UpstreamTimeout):
        until_the_end(answer.chunks(silence=SHORT))
    assert time.monotonic() - began < MUCH_LATER
    answer.close()


def check_a_wait_can_be_ended_from_outside(caller: Caller) -> None:
    over = exchange()
    answer, wire = caller.begin(over=over)
    wire.send_chunk(b"one")
    chunks = answer.chunks(silence=LONG)
    assert next(chunks) == b"one"
    threading.Timer(SHORT, over.abort).start()
    began = time.monotonic()
    with pytest.raises(UpstreamError):
        next(chunks)
    assert time.monotonic() - began < MUCH_LATER
    answer.close()
    assert wire.hung_up.wait(WAIT_SECONDS)


def check_a_connection_that_breaks_in_a_silence_is_a_cut(caller: Caller) -> None:
    for path in ("/chunked", "/length", "/close"):
        for breaks in (Wire.cut, Wire.reset):
            if path == "/close" and (breaks is Wire.cut or caller.server.is_secure):
                continue  # That is how such a body ends; over TLS Python takes any end for one.
            answer, wire = caller.begin(path)
            chunks = answer.chunks(silence=SHORT)
            assert next(chunks) == b""
            breaks(wire)
            with pytest.raises(UpstreamCut):
                until_the_end(chunks)
            answer.close()


def check_a_size_that_is_none_is_a_cut(caller: Caller) -> None:
    for size in (b"xyz", b"5xyz", b""):
        answer, wire = caller.begin()
        wire.send(size + b"\r\n")
        with pytest.raises(UpstreamCut):
            until_the_end(answer.chunks(silence=SHORT))
        answer.close()


def check_a_connection_serves_again_after_silences(caller: Caller) -> None:
    wires = []
    for _ in range(3):
        answer, wire = caller.begin()
        chunks = answer.chunks(silence=SHORT)
        assert next(chunks) == b""
        wire.send_chunk(b"one")
        wire.send(END)
        assert until_the_end(chunks) == b"one"
        answer.close()
        wires.append(wire)
    assert len(set(wires)) == 1


def check_an_answer_given_up_in_a_silence_hangs_up(caller: Caller) -> None:
    answer, wire = caller.begin()
    chunks = answer.chunks(silence=SHORT)
    assert next(chunks) == b""
    answer.close()
    assert wire.hung_up.wait(WAIT_SECONDS)


CHECKS: dict[str, Callable[[Caller], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_a_silence_is_told_again_and_again,
        check_what_has_come_is_no_silence,
        check_a_body_that_stops_at_any_byte_is_a_silence_and_goes_on,
        check_bodies_of_every_kind_end_after_a_silence,
        check_a_part_of_a_tls_record_is_no_word,
        check_silence_has_its_limit_although_it_is_told,
        check_a_call_has_its_limit_although_silence_is_told,
        check_a_wait_can_be_ended_from_outside,
        check_a_connection_that_breaks_in_a_silence_is_a_cut,
        check_a_size_that_is_none_is_a_cut,
        check_a_connection_serves_again_after_silences,
        check_an_answer_given_up_in_a_silence_hangs_up,
    )
}
