"""A server that is told to stop: what is open is finished or told, posted, and nothing is left."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from tests.contract.fake_upstream import ANSWER, FakeUpstream, Gate, Turn
from tests.e2e.checks import DONE, error_object, events, is_end, text_of
from tests.e2e.constants import PROMPT
from tests.e2e.wire import chat_request, connected, read_to_end, read_until
from tests.support.server import Reply, RunningServer, Seed, eventually, running_server
from torana.db.models import LedgerEntry, Reservation
from torana.db.session import Database

SHUTDOWN_SECONDS = 5
LAST_SECONDS = 3
"""Before the limit: when open answers are ended."""


@dataclass(frozen=True)
class Stop:
    """What was seen while a server with open calls stopped."""

    idle_closed_while_streams_ran: bool
    refused_while_streams_ran: bool
    short: bytes
    long: bytes
    long_seconds: float
    json: Reply
    seconds: float
    status: int | None
    rows: dict[str, LedgerEntry]
    reservations: list[str]
    log: list[dict[str, Any]]


class Slow:
    """An upstream that goes on at a gate, or never."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.arrived = threading.Semaphore(0)

    def short(self, turn: Turn) -> None:
        """A stream that ends soon after the gate is opened."""
        turn.begin_stream()
        turn.words("begun ")
        self.arrived.release()
        self.gate.wait()
        turn.words(ANSWER)
        turn.end_stream()

    def endless(self, turn: Turn) -> None:
        """An answer that never comes to its end."""
        if turn.wants_stream:
            turn.begin_stream()
            turn.words("begun ")
        self.arrived.release()
        turn.wait_for_hang_up()


@pytest.fixture(scope="module")
def stop(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, str],
    upstream: FakeUpstream,
    seed: Seed,
) -> Iterator[Stop]:
    """One stop with two streams and a JSON call under way, and an idle connection."""
    limited = settings | {"TORANA_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)}
    with (
        running_server(tmp_path_factory.mktemp("stopping"), limited, seed=seed) as server,
        ThreadPoolExecutor() as pool,
    ):
        yield _stop_under_load(server, upstream, pool)


def _stop_under_load(
    server: RunningServer, upstream: FakeUpstream, pool: ThreadPoolExecutor
) -> Stop:
    slow = Slow()
    models = {
        "short": upstream.model(slow.short),
        "long": upstream.model(slow.endless),
        "json": upstream.model(slow.endless),
    }
    with connected(server) as idle, connected(server) as short, connected(server) as long:
        idle.sendall(chat_request(server, "echo"))
        read_until(idle, b"chat.completion")
        short.sendall(chat_request(server, models["short"], stream=True))
        long.sendall(chat_request(server, models["long"], stream=True))
        whole: Future[Reply] = pool.submit(server.chat, models["json"], PROMPT)
        head = {caller: read_until(caller, b"begun ") for caller in (short, long)}
        for _ in models:
            assert slow.arrived.acquire(timeout=10)

        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        idle_closed = idle.recv(1) == b""
        refused = eventually(lambda: not _accepts(server), "the end of listening")
        slow.gate.open()
        short_answer = head[short] + read_to_end(short)
        long_answer = head[long] + read_to_end(long)
        long_seconds = time.monotonic() - began
        reply = whole.result(30)
        server.process.wait(30)
        seconds = time.monotonic() - began
    rows, reservations = _books(server)
    return Stop(
        idle_closed_while_streams_ran=idle_closed,
        refused_while_streams_ran=refused,
        short=short_answer,
        long=long_answer,
        long_seconds=long_seconds,
        json=reply,
        seconds=seconds,
        status=server.process.returncode,
        rows={name: rows[model] for name, model in models.items()},
        reservations=reservations,
        log=server.log(),
    )


def _accepts(server: RunningServer) -> bool:
    try:
        with connected(server):
            return True
    except ConnectionRefusedError:
        return False


def _books(server: RunningServer) -> tuple[dict[str, LedgerEntry], list[str]]:
    database = Database(server.database_url)
    try:
        with database.read() as session:
            entries = session.scalars(select(LedgerEntry)).all()
            session.expunge_all()
            open_calls = list(session.scalars(select(Reservation.call_id)))
    finally:
        database.dispose()
    assert len({entry.call_id for entry in entries}) == len(entries)
    return {entry.model: entry for entry in entries}, open_calls


def _body(answer: bytes) -> list[Any]:
    head, _, chunked = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        body += rest[: int(size, 16)]
        chunked = rest[int(size, 16) + 2 :]
        if size == b"0":
            break
    return events(body)


def test_idle_connections_are_closed_at_once(stop: Stop):
    assert stop.idle_closed_while_streams_ran


def test_no_new_connection_is_accepted(stop: Stop):
    assert stop.refused_while_streams_ran


def test_a_stream_that_ends_in_time_is_whole(stop: Stop):
    seen = _body(stop.short)
    assert seen[-1] == DONE
    assert text_of(seen) == f"begun {ANSWER}"
    assert (stop.rows["short"].status, stop.rows["short"].counted) == ("ok", "provider")


def test_a_stream_that_does_not_is_told_before_the_limit_and_posted(stop: Stop):
    seen = _body(stop.long)
    error = error_object(seen[-1])
    assert error["code"] == "server_shutdown"
    assert text_of(seen) == "begun "
    assert not any(is_end(event) for event in seen)
    assert SHUTDOWN_SECONDS - LAST_SECONDS <= stop.long_seconds < SHUTDOWN_SECONDS
    row = stop.rows["long"]
    assert (row.status, row.error_code, row.counted) == ("error", "server_shutdown", "bound")
    assert row.cost_nano == row.bound_nano


def test_a_json_call_that_does_not_end_in_time_is_a_503_to_try_again(stop: Stop):
    assert stop.json.status == 503
    assert error_object(stop.json.json())["code"] == "server_shutdown"
    assert stop.json.headers["x-should-retry"] == "true"
    assert stop.json.headers["retry-after"] == "1"
    row = stop.rows["json"]
    assert (row.status, row.error_code, row.http_status) == ("error", "server_shutdown", 503)


def test_the_server_ends_well_within_its_limit(stop: Stop):
    assert stop.status == 0
    assert stop.seconds < SHUTDOWN_SECONDS + 1


def test_no_reservation_stays_behind(stop: Stop):
    assert stop.reservations == []


def test_the_last_lines_are_in_the_log(stop: Stop):
    settled = [line["request_id"] for line in stop.log if line["event"] == "call.settled"]
    assert len(set(settled)) == len(settled)
    assert {row.call_id for row in stop.rows.values()} <= set(settled)
