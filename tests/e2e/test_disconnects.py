"""Callers that hang up: what the provider is let do, what it costs, and that a row says so."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from tests.contract.fake_upstream import (
    USAGE,
    FakeUpstream,
    Gate,
    Turn,
    answer_well,
    completion,
)
from tests.e2e.constants import INPUT_RATE, OUTPUT_RATE
from tests.e2e.wire import chat_request, connected, read_to_end, read_until, reset
from tests.support.server import RunningServer, eventually

COST = (USAGE["prompt_tokens"] * INPUT_RATE + USAGE["completion_tokens"] * OUTPUT_RATE) // 1_000_000


class SlowProvider:
    """Tells when a call has come, and answers slowly after it was let go."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.gate = Gate()
        self.finished = threading.Event()

    def json(self, turn: Turn) -> None:
        """A JSON answer, a while after the gate."""
        self.arrived.set()
        self.gate.wait()
        time.sleep(0.6)  # The work of a provider, not the wait of a test.
        turn.reply(completion())
        self.finished.set()

    def stream(self, turn: Turn) -> None:
        """A stream whose rest takes a while after the gate."""
        self.arrived.set()
        turn.begin_stream()
        turn.words("first")
        self.gate.wait()
        for _ in range(6):
            time.sleep(0.1)
            turn.words(" more")
        turn.end_stream()
        self.finished.set()


class SilentProvider:
    """Says nothing more, and tells when its connection was ended."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.hung_up = threading.Event()

    def json(self, turn: Turn) -> None:
        """Not even a status line."""
        self._wait(turn)

    def stream(self, turn: Turn) -> None:
        """Silent after the first chunk."""
        turn.begin_stream()
        turn.words("first")
        self._wait(turn)

    def _wait(self, turn: Turn) -> None:
        self.arrived.set()
        if turn.wait_for_hang_up():
            self.hung_up.set()


def _is_bound(entry: dict[str, Any]) -> None:
    assert (entry["status"], entry["error_code"]) == ("cancelled", "caller_gone")
    assert entry["http_status"] == 499
    assert (entry["counted"], entry["cost_nano"]) == ("bound", entry["bound_nano"])
    assert entry["cost_nano"] > 0


def test_drain_reads_a_json_answer_to_its_usage(server: RunningServer, upstream: FakeUpstream):
    provider = SlowProvider()
    model = upstream.model(provider.json)
    with connected(server) as caller:
        caller.sendall(chat_request(server, model))
        assert provider.arrived.wait(10)
    provider.gate.open()
    (entry,) = server.entries_of(model)
    assert (entry["status"], entry["error_code"]) == ("cancelled", "caller_gone")
    assert (entry["counted"], entry["cost_nano"]) == ("provider", COST)
    assert entry["streamed"] is False
    assert provider.finished.is_set()


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_drain_reads_a_stream_to_its_usage(
    server_on_sqlite: RunningServer, upstream: FakeUpstream, how: str
):
    provider = SlowProvider()
    model = upstream.model(provider.stream)
    with connected(server_on_sqlite) as caller:
        caller.sendall(chat_request(server_on_sqlite, model, stream=True))
        read_until(caller, b'"first"')
        if how == "resets":
            reset(caller)
    provider.gate.open()
    (entry,) = server_on_sqlite.entries_of(model)
    assert (entry["status"], entry["error_code"]) == ("cancelled", "caller_gone")
    assert (entry["counted"], entry["cost_nano"]) == ("provider", COST)
    assert entry["streamed"] is True
    assert provider.finished.wait(5)


def test_drain_has_an_end_even_when_the_provider_has_none(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    ended = threading.Event()

    def talk_for_ever(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("first")
        began = time.monotonic()
        while time.monotonic() - began < 20:
            time.sleep(0.1)
            try:
                turn.words(" more")
            except OSError:
                ended.set()
                return

    model = upstream.model(talk_for_ever)
    with connected(server_on_sqlite) as caller:
        caller.sendall(chat_request(server_on_sqlite, model, stream=True))
        read_until(caller, b'"first"')
    (entry,) = server_on_sqlite.entries_of(model)
    _is_bound(entry)
    assert ended.wait(10)


def test_nobody_pays_for_a_new_try_that_nobody_waits_for(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    arrived = threading.Event()

    def turn_away_once(turn: Turn) -> None:
        if arrived.is_set():
            answer_well(turn)
        else:
            arrived.set()
            turn.reply({"error": {"message": "busy"}}, 503, retry_after="1")

    model = upstream.model(turn_away_once)
    with connected(server_on_sqlite) as caller:
        caller.sendall(chat_request(server_on_sqlite, model))
        assert arrived.wait(10)
    (entry,) = server_on_sqlite.entries_of(model)
    assert entry["status"] == "cancelled"
    assert (len(entry["attempts"]), entry["cost_nano"]) == (1, 0)
    assert len(upstream.seen(model)) == 1


def test_a_caller_that_reads_slowly_is_not_gone(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    provider = SlowProvider()
    model = upstream.model(provider.stream)
    with connected(server_on_sqlite) as caller:
        caller.sendall(chat_request(server_on_sqlite, model, stream=True))
        provider.gate.open()
        assert provider.finished.wait(10)
        assert read_until(caller, b"0\r\n\r\n").endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    (entry,) = server_on_sqlite.entries_of(model)
    assert entry["status"] == "ok"


def test_a_stream_that_is_not_whole_never_ends_as_if_it_were(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    # A caller that has closed only its sending side looks like one that is gone, and still reads.
    provider = SlowProvider()
    model = upstream.model(provider.stream)
    with connected(server_on_sqlite) as caller:
        caller.sendall(chat_request(server_on_sqlite, model, stream=True))
        caller.shutdown(socket.SHUT_WR)
        provider.gate.open()
        answer = read_to_end(caller)
    if answer.endswith(b"0\r\n\r\n"):
        assert b"data: [DONE]" in answer or b'data: {"error"' in answer


@pytest.mark.parametrize(
    ("stream", "begun"),
    [(False, False), (True, False), (True, True)],
    ids=["json", "a stream before its first byte", "a stream in the middle"],
)
def test_cancel_ends_the_providers_connection_at_once(
    strict_server: RunningServer, upstream: FakeUpstream, stream: bool, begun: bool
):
    provider = SilentProvider()
    model = upstream.model(provider.stream if begun else provider.json)
    with connected(strict_server) as caller:
        caller.sendall(chat_request(strict_server, model, stream=stream))
        assert provider.arrived.wait(10)
        if begun:
            read_until(caller, b'"first"')
    # The provider would be silent for longer than anyone waits here: only the end of its
    # connection can have brought the row.
    (entry,) = strict_server.entries_of(model)
    _is_bound(entry)
    assert entry["streamed"] is stream
    assert provider.hung_up.wait(5)


def test_cancel_charges_the_usage_that_was_told_before(
    strict_server: RunningServer, upstream: FakeUpstream
):
    told = threading.Event()

    def tell_usage(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("first")
        turn.event({"choices": [], "usage": USAGE})
        turn.words("second")
        told.set()
        turn.wait_for_hang_up()

    model = upstream.model(tell_usage)
    with connected(strict_server) as caller:
        caller.sendall(chat_request(strict_server, model, stream=True))
        read_until(caller, b'"second"')
        assert told.wait(10)
    (entry,) = strict_server.entries_of(model)
    assert entry["status"] == "cancelled"
    assert (entry["counted"], entry["cost_nano"]) == ("provider", COST)


def test_cancel_gives_up_between_two_tries(strict_server: RunningServer, upstream: FakeUpstream):
    arrived = threading.Event()

    def turn_away(turn: Turn) -> None:
        arrived.set()
        turn.reply({"error": {"message": "busy"}}, 503, retry_after="1")

    model = upstream.model(turn_away)
    with connected(strict_server) as caller:
        caller.sendall(chat_request(strict_server, model))
        assert arrived.wait(10)
    (entry,) = strict_server.entries_of(model)
    assert entry["status"] == "cancelled"
    assert (entry["counted"], entry["cost_nano"]) == ("provider", 0)
    assert len(upstream.seen(model)) == 1


def test_hang_ups_leave_no_reservation_behind(strict_server: RunningServer):
    eventually(lambda: _open_calls(strict_server) == 0, "the end of all calls")
    assert strict_server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'


def _open_calls(server: RunningServer) -> float:
    token = server.environment.get("TORANA_METRICS_TOKEN")
    text = server.request("GET", "/metrics", key=token or "").body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("torana_open_calls")]
    return float(line.rpartition(" ")[2])
