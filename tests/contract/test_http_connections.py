"""The HTTP client's connections: used again when they can be, ended from outside, trusted or not."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.calls import LIMIT, chat_body, exchange, post
from tests.contract.certificates import self_signed
from tests.contract.fake_upstream import FakeUpstream, Gate, Script, Turn, answer_well
from torana.errors import UpstreamError, UpstreamUnreachable
from torana.outbound.client import Answer, Exchange, HttpClient

DEADLINE_SECONDS = 5.0


@dataclass(frozen=True)
class Caller:
    """A client and the server it calls."""

    http: HttpClient
    upstream: FakeUpstream

    def __call__(self, script: Script = answer_well, over: Exchange | None = None) -> Answer:
        """Call once."""
        body = chat_body(self.upstream.model(script))
        return post(self.http, f"{self.upstream.url}/chat/completions", body, over=over)

    def connection(self, script: Script = answer_well) -> int:
        """Call once, read the answer, and return the number of the connection."""
        model = self.upstream.model(script)
        answer = post(self.http, f"{self.upstream.url}/chat/completions", chat_body(model))
        answer.read(LIMIT)
        answer.close()
        return self.upstream.seen(model)[0].connection


@pytest.fixture
def call(http: HttpClient, upstream: FakeUpstream) -> Caller:
    """Calls of one client."""
    return Caller(http, upstream)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _stream(turn: Turn) -> None:
    turn.begin_stream()
    turn.words("hello")
    turn.end_stream()


def _hang(turn: Turn) -> None:
    turn.wait_for_hang_up()


def test_a_connection_is_used_again_after_a_whole_answer(call: Caller):
    assert len({call.connection(script) for script in (answer_well, _stream, answer_well)}) == 1


def test_a_connection_is_not_used_again_when_its_answer_was_given_up(call: Caller):
    ended = threading.Event()

    def wait(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("hello")
        if turn.wait_for_hang_up():
            ended.set()

    model = call.upstream.model(wait)
    answer = post(call.http, f"{call.upstream.url}/chat/completions", chat_body(model))
    next(answer.chunks())
    answer.close()
    assert ended.wait(DEADLINE_SECONDS)
    assert call.connection() != call.upstream.seen(model)[0].connection


def test_a_connection_is_not_used_again_when_the_server_says_so(call: Caller):
    def close(turn: Turn) -> None:
        turn.reply({}, connection="close")

    assert call.connection(close) != call.connection()


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unnoticed(call: Caller):
    closed = threading.Event()

    def answer_and_leave(turn: Turn) -> None:
        answer_well(turn)
        turn.cut()
        closed.set()

    first = call.connection(answer_and_leave)
    assert closed.wait(DEADLINE_SECONDS)
    assert call.connection() != first


def test_bytes_after_an_answer_are_not_the_next_answer(call: Caller):
    said_more = threading.Event()

    def say_more(turn: Turn) -> None:
        turn.reply({"answer": 1})
        turn.write(b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"evil":1}')
        said_more.set()

    call.connection(say_more)
    assert said_more.wait(DEADLINE_SECONDS)
    answer = call(lambda turn: turn.reply({"answer": 2}))
    assert answer.read(LIMIT) == b'{"answer": 2}'


def test_calls_at_once_have_connections_of_their_own(call: Caller):
    together = threading.Barrier(8)

    def wait_for_all(turn: Turn) -> None:
        together.wait(DEADLINE_SECONDS)
        answer_well(turn)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: call.connection(wait_for_all), range(8)))
    assert len(set(numbers)) == 8


@pytest.mark.parametrize("begun", [False, True], ids=["before the head", "in the body"])
def test_another_thread_can_end_a_call_that_waits(call: Caller, begun: bool):
    ended = threading.Event()
    reading = threading.Event()

    def wait(turn: Turn) -> None:
        if begun:
            turn.begin_stream()
            turn.words("hello")
        reading.set()
        if turn.wait_for_hang_up():
            ended.set()

    over = exchange()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: call(wait, over).read(LIMIT))
        assert reading.wait(DEADLINE_SECONDS)
        over.abort()
        with pytest.raises(UpstreamError) as failure:
            waiting.result(DEADLINE_SECONDS)
    assert failure.value.billable
    assert ended.wait(DEADLINE_SECONDS)


def test_a_call_that_was_ended_before_it_began_is_not_sent(call: Caller):
    over = exchange()
    over.abort()
    model = call.upstream.model()
    with pytest.raises(UpstreamError) as failure:
        post(call.http, f"{call.upstream.url}/chat/completions", chat_body(model), over=over)
    assert not failure.value.billable
    assert call.upstream.seen(model) == []


@pytest.mark.parametrize("how", ["abort", "a deadline"])
def test_the_end_of_a_call_that_was_answered_harms_no_call_after_it(call: Caller, how: str):
    # A call is posted after its answer was read, and can be ended until it is: by then its
    # connection may be another's.
    over = exchange(1.0 if how == "a deadline" else 20.0)
    first = call(over=over)
    first.read(LIMIT)
    gate, arrived = Gate(), threading.Event()

    def wait(turn: Turn) -> None:
        arrived.set()
        gate.wait()
        answer_well(turn)

    with ThreadPoolExecutor() as pool:
        second = pool.submit(lambda: call(wait).read(LIMIT))
        assert arrived.wait(DEADLINE_SECONDS)
        if how == "abort":
            over.abort()
        else:
            _until(lambda: time.monotonic() > over.deadline + 0.5)
        first.close()
        gate.open()
        assert b"chat.completion" in second.result(DEADLINE_SECONDS)


def test_closing_the_client_leaves_open_answers_alone(call: Caller):
    gate = Gate()

    def wait(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("hello")
        gate.wait()
        turn.end_stream()

    answer = call(wait)
    chunks = answer.chunks()
    assert b"hello" in next(chunks)
    call.http.close()
    gate.open()
    assert b"[DONE]" in b"".join(chunks)


# --- TLS ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SecureServer:
    """A server with a certificate that only `authority` makes good."""

    url: str
    authority: Path
    hung: threading.Event


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """A TLS server on loopback: `/hang` never answers."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = self_signed(folder)
    hung = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/hang":
                hung.set()
                self.connection.recv(1)
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"secret")

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not trust us hangs up."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield SecureServer(f"https://127.0.0.1:{server.server_address[1]}", certificate, hung)
    server.shutdown()
    server.server_close()


@pytest.fixture
def trusting(secure: SecureServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpClient]:
    """A client of a machine whose administrator trusts the server."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.authority))
    client = HttpClient()
    yield client
    client.close()


def test_a_trusted_server_is_called_over_tls(trusting: HttpClient, secure: SecureServer):
    for _ in range(2):
        assert post(trusting, secure.url).read(LIMIT) == b"secret"


def test_a_certificate_that_nobody_vouches_for_is_refused(http: HttpClient, secure: SecureServer):
    over = exchange()
    with pytest.raises(UpstreamUnreachable) as failure:
        post(http, secure.url, over=over)
    assert "trusted" in failure.value.message
    assert not over.sent


def test_a_server_that_speaks_no_tls_is_unreachable(http: HttpClient, upstream: FakeUpstream):
    with pytest.raises(UpstreamUnreachable):
        post(http, upstream.url.replace("http:", "https:"))


def test_another_thread_can_end_a_call_over_tls(trusting: HttpClient, secure: SecureServer):
    over = exchange()
    secure.hung.clear()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(post, trusting, f"{secure.url}/hang", over=over)
        assert secure.hung.wait(DEADLINE_SECONDS)
        over.abort()
        with pytest.raises(UpstreamError):
            waiting.result(DEADLINE_SECONDS)
