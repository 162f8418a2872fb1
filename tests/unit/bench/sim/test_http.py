"""Taking requests apart."""

from __future__ import annotations

import pytest

from bench.sim.http import BadRequestError, Request, parse

FIXED = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nCONTENT-length:  4\r\n\r\nbody"
CHUNKED = (
    b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nbod\r\n1\r\ny\r\n0\r\n\r\n"
)
TRAILERS = CHUNKED[:-2] + b"x-trailer: 1\r\n\r\n"
EMPTY = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "body"), [(FIXED, b"body"), (CHUNKED, b"body"), (TRAILERS, b"body"), (EMPTY, b"")]
)
def test_a_request_is_read_and_the_next_one_left_alone(data, body):
    request = parse(data + b"GET /next")
    assert isinstance(request, Request)
    assert (request.path, request.body, request.end) == (b"/a", body, len(data))
    assert request.keep_alive


@pytest.mark.parametrize("data", [FIXED, CHUNKED, TRAILERS, EMPTY])
def test_every_true_prefix_asks_for_more_but_never_for_more_than_there_will_be(data):
    for length in range(len(data)):
        needed = parse(data[:length])
        assert isinstance(needed, int)
        assert length < needed <= len(data)


@pytest.mark.parametrize("version_and_header", ["1.1\r\nConnection: Close", "1.0"])
def test_a_connection_that_ends_after_its_answer_is_recognised(version_and_header):
    request = parse(f"GET / HTTP/{version_and_header}\r\n\r\n".encode())
    assert isinstance(request, Request)
    assert not request.keep_alive


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / SPDY/3\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"x" * 70_000,
    ],
)
def test_what_cannot_become_a_request_is_refused(data):
    with pytest.raises(BadRequestError):
        parse(data)
