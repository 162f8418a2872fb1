"""The database goes away: what callers see, what is lost (nothing), and how all comes back."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.contract.fake_upstream import FakeUpstream, Gate, Turn, answer_well
from tests.e2e.checks import openai_error
from tests.e2e.constants import PROMPT
from tests.e2e.relay import Relay, relay_to
from tests.support import databases
from tests.support.server import Reply, RunningServer, eventually, running_server

FROZEN_SECONDS = 10.0
"""Longest that anyone waits for a database that accepts connections and says nothing."""
WORKERS = 2
FROZEN: dict[str, int | str] = {
    "/healthz": 200,
    "/readyz": 503,
    "/v1/chat/completions": 503,
    "/v1/models": 503,
    "/api/ledger": 503,
}


@pytest.fixture(scope="module")
def relayed(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str], postgres_server: str
) -> Iterator[tuple[RunningServer, Relay]]:
    """A server whose database is behind a relay."""
    with databases.postgres_url(postgres_server) as url:
        parts = urlsplit(url)
        with relay_to(str(parts.hostname), int(parts.port or 5432)) as relay:
            through = url.replace(f":{parts.port}/", f":{relay.port}/")
            folder = tmp_path_factory.mktemp("outage")
            with running_server(folder, settings, database_url=through) as server:
                server.wait_for_log()  # All of its processes are up.
                yield server, relay


@pytest.fixture
def outage(relayed: tuple[RunningServer, Relay]) -> Iterator[tuple[RunningServer, Relay]]:
    """The server, both of whose processes know the key; afterwards it is whole again."""
    server, relay = relayed
    eventually(lambda: _serves(server), "the first calls")
    yield server, relay
    relay.restore()
    eventually(lambda: _ended(server) or _serves(server), "the return of the database", seconds=20)


def _ended(server: RunningServer) -> bool:
    return server.process.poll() is not None


def _lives(server: RunningServer) -> bool:
    try:
        return server.request("GET", "/healthz", key="").status == 200
    except OSError:
        return False


def _serves(server: RunningServer) -> bool:
    """Whether both processes are up and calls are served, so many that each had one."""
    return len(server.worker_pids()) == WORKERS and all(
        server.request("GET", "/readyz", key="").status == 200
        and server.chat("echo", PROMPT).status == 200
        for _ in range(6)
    )


def _timed(server: RunningServer, path: str) -> int | str:
    """The status of a GET, or of a call, for a caller with little patience."""
    connection = http.client.HTTPConnection(*server.address, timeout=FROZEN_SECONDS)
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    try:
        if path.startswith("/v1/chat"):
            body = '{"model": "echo", "messages": [{"role": "user", "content": "x"}]}'
            connection.request("POST", path, body, headers)
        else:
            connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except TimeoutError:
        return "no answer"
    finally:
        connection.close()


def test_readiness_tells_the_truth_and_liveness_stays(
    outage: tuple[RunningServer, Relay],
):
    server, relay = outage
    relay.cut()
    reply = server.request("GET", "/readyz", key="")
    assert (reply.status, reply.json()) == (503, {"status": "unavailable"})
    assert server.request("GET", "/healthz", key="").status == 200
    assert server.request("GET", "/", key="").status == 200
    relay.restore()
    eventually(lambda: _serves(server), "readiness")
    assert server.get("/readyz")["checks"]["database"] == "ok"


def test_calls_are_turned_away_at_once_and_told_to_come_back(
    outage: tuple[RunningServer, Relay], upstream: FakeUpstream
):
    server, relay = outage
    model = upstream.model()
    relay.cut()
    began = time.monotonic()
    replies = [server.chat(model, PROMPT, stream=number % 2 == 1) for number in range(10)]
    assert time.monotonic() - began < 5
    for reply in replies:
        assert reply.status == 503
        assert openai_error(reply)["code"] == "ledger_unavailable"
        assert reply.headers["x-should-retry"] == "true"
        assert int(reply.headers["retry-after"]) >= 1
    assert server.request("GET", "/api/ledger").status == 503
    assert server.request("GET", "/v1/models").status == 503
    # Nothing was sent that could not be accounted for.
    assert upstream.seen(model) == []
    relay.restore()
    eventually(lambda: server.chat(model, PROMPT).status == 200, "calls")
    assert len(server.entries_of(model, len(upstream.seen(model)))) >= 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_call_under_way_is_finished_and_posted_from_the_spool_when_the_database_is_back(
    outage: tuple[RunningServer, Relay], upstream: FakeUpstream, stream: bool
):
    server, relay = outage
    gate, arrived, written = Gate(), threading.Event(), threading.Event()

    def at_the_gate(turn: Turn) -> None:
        arrived.set()
        gate.wait()
        answer_well(turn)
        written.set()

    def ask() -> Reply:
        return server.chat(model, PROMPT, stream=stream)

    model = upstream.model(at_the_gate)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask)
        assert arrived.wait(10)
        relay.cut()
        gate.open()
        assert written.wait(10)
        # The caller does not wait for the database: the post is on this host's disk.
        reply = answer.result(20)
        server.wait_for_log()
        assert [line["request_id"] for line in server.log("ledger.spooled")][-1] == reply.request_id
        relay.restore()
    assert reply.status == 200
    (entry,) = server.entries_of(model)
    assert (entry["status"], entry["counted"]) == ("ok", "provider")
    lines = [line for line in server.log("call.settled") if line["model"] == model]
    assert len(lines) <= 1
    assert server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'


def test_a_database_that_was_restarted_is_used_again_at_once(
    outage: tuple[RunningServer, Relay],
):
    # All connections are dead, and each is found out by the first who needs it.
    server, relay = outage
    relay.cut()
    relay.restore()
    eventually(lambda: _serves(server), "calls", seconds=2)


def test_a_database_that_hangs_hangs_nobody(outage: tuple[RunningServer, Relay]):
    server, relay = outage
    relay.freeze()
    with ThreadPoolExecutor() as pool:
        waiting = {path: pool.submit(_timed, server, path) for path in FROZEN}
        seen = {path: answer.result(FROZEN_SECONDS + 5) for path, answer in waiting.items()}
    # The processes still serve what needs no database, also after the others gave up.
    assert _timed(server, "/healthz") == 200
    assert seen == FROZEN
    relay.restore()
    eventually(lambda: _serves(server), "calls")
    assert server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'


def test_a_process_that_starts_meanwhile_does_not_end_the_others(
    outage: tuple[RunningServer, Relay],
):
    server, relay = outage
    relay.cut()
    dying, staying = server.worker_pids()
    os.kill(dying, signal.SIGKILL)
    known = {dying, staying, server.process.pid}
    eventually(lambda: {line["pid"] for line in server.log()} - known, "a word of the new process")
    # It has met the missing database. gunicorn needs a moment to end everything for that.
    watched_until = time.monotonic() + 2
    while time.monotonic() < watched_until:
        assert _lives(server), server.log()[-1]
        assert staying in server.worker_pids()
    relay.restore()
    eventually(lambda: _serves(server), "calls on both processes")
    assert staying in server.worker_pids()
