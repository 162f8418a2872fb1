"""A web process dies under load, and an idle server is told to stop: nobody waits for nothing."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.e2e.constants import PROMPT
from tests.e2e.wire import chat_request, connected, read_until
from tests.support.server import RunningServer, Seed, eventually, running_server


@dataclass(frozen=True)
class Survival:
    """What was seen when a web process was killed under load, and how the server ended later."""

    before: list[int]
    after: list[int]
    master: list[int]
    statuses: list[int | str]
    later: list[int]
    open_calls: float
    verified: str
    stop_seconds: float
    status: int | None
    errors: str


@pytest.fixture(scope="module")
def survival(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str], seed: Seed
) -> Survival:
    """A worker is killed while eight callers call; later the idle server is stopped."""
    with (
        running_server(tmp_path_factory.mktemp("surviving"), settings, seed=seed) as server,
        ThreadPoolExecutor() as pool,
    ):
        return _kill_and_stop(server, pool)


def _kill_and_stop(server: RunningServer, pool: ThreadPoolExecutor) -> Survival:
    before, master = server.worker_pids(), server.master_pids()
    over = threading.Event()
    callers = [pool.submit(_call_until, server, over) for _ in range(8)]
    try:
        eventually(lambda: len(server.log("call.settled")) > 20, "load on the server")
        os.kill(before[0], signal.SIGKILL)
        after = eventually(lambda: _two_others(server, before), "a new process")
        served = len(server.log("call.settled"))
        eventually(lambda: len(server.log("call.settled")) > served + 20, "calls afterwards")
    finally:
        over.set()
    statuses = [status for caller in callers for status in caller.result(30)]
    later = [server.chat("echo", PROMPT).status for _ in range(20)]
    metrics = server.request("GET", "/metrics", key="").body.decode()
    (line,) = [line for line in metrics.splitlines() if line.startswith("torana_open_calls")]
    survivors = server.master_pids()
    verified = server.torana("ledger", "verify", "--json")
    with connected(server) as idle, connected(server) as silent, connected(server) as half:
        idle.sendall(chat_request(server, "echo"))
        read_until(idle, b"chat.completion")
        half.sendall(chat_request(server, "echo")[:40])
        seconds = server.stop()
        assert [caller.recv(1) for caller in (idle, silent, half)] == [b"", b"", b""]
    return Survival(
        before=before,
        after=after,
        master=master if survivors == master else [],
        statuses=statuses,
        later=later,
        open_calls=float(line.rpartition(" ")[2]),
        verified=verified,
        stop_seconds=seconds,
        status=server.process.returncode,
        errors=server.errors,
    )


def _two_others(server: RunningServer, before: list[int]) -> list[int]:
    now = server.worker_pids()
    return now if len(now) == 2 and before[0] not in now else []


def _call_until(server: RunningServer, over: threading.Event) -> list[int | str]:
    statuses: list[int | str] = []
    while not over.is_set():
        try:
            statuses.append(server.chat("echo/delay_ms=20", PROMPT).status)
        except (OSError, http.client.HTTPException) as error:
            statuses.append(type(error).__name__)
    return statuses


def test_a_killed_process_is_replaced_and_the_master_stays(survival: Survival):
    assert len(survival.before) == len(survival.after) == 2
    assert survival.before[1] in survival.after
    assert len(survival.master) == 1


def test_callers_of_a_killed_process_get_an_error_at_once_and_others_nothing(
    survival: Survival,
):
    cut = [status for status in survival.statuses if status != 200]
    assert set(cut) <= {"RemoteDisconnected", "ConnectionResetError", "IncompleteRead"}
    # At most what the eight callers had open, and what waited in the dead process's queue.
    assert len(cut) <= 16
    assert survival.statuses.count(200) > 40


def test_calls_after_the_death_are_served(survival: Survival):
    assert set(survival.later) == {200}


def test_a_dead_process_leaves_no_open_calls_in_the_metrics(survival: Survival):
    assert survival.open_calls == 0


def test_the_books_agree_with_the_rows_after_a_death(survival: Survival):
    # Its reservations stand until the sweeper takes them over; they are counted as such.
    assert survival.verified.strip() == '{"differences":[]}'


def test_an_idle_server_stops_at_once(survival: Survival):
    # A fraction of a second on an idle machine; far from the 30 that open answers would get.
    assert survival.stop_seconds < 5
    assert survival.status == 0
    assert survival.errors == ""
