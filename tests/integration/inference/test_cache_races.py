"""Identical calls at once, under threads and under gevent, in one process and in several."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.inference.cache_races import CHECKS
from tests.integration.inference.cache_scene import (
    ANSWER,
    SECONDS,
    Caller,
    RedisServer,
    a_cache,
    eventually,
    redis_server,
    shared_redis,
)
from torana.coordination import SharedRedis
from torana.inference.cache_store import LEASE_SECONDS
from torana.settings import child_environment

REPOSITORY = Path(__file__).parents[3]
GREENLETS = ["greenlets_that_are_killed_while_they_wait_or_lead_stop_nobody"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.mark.parametrize("name", CHECKS)
def test_under_threads(server: RedisServer, name: str):
    with shared_redis(server.url) as redis:
        redis.execute([("FLUSHALL",)])
    CHECKS[name](server)


@pytest.fixture(scope="module")
def under_gevent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The results of all checks in a process that gevent has patched."""
    folder = tmp_path_factory.mktemp("gevent")
    result = subprocess.run(
        [sys.executable, "-m", "tests.integration.inference.cache_under_gevent", str(folder)],
        cwd=REPOSITORY,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    results: dict[str, str] = json.loads(result.stdout)
    return results


@pytest.mark.parametrize("name", [*CHECKS, *GREENLETS])
def test_under_gevent(under_gevent: dict[str, str], name: str):
    assert under_gevent[name] == ""


def milliseconds_left(redis: SharedRedis) -> int:
    (left,) = redis.execute([("PTTL", f"torana:cache:{'k' * 64}:lease")]) or [0]
    return int(left)


def test_a_process_that_is_killed_while_it_leads_gives_way(server: RedisServer):
    with shared_redis(server.url) as redis:
        redis.execute([("FLUSHALL",)])
        cache = a_cache(redis)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.inference.cache_process", server.url],
            cwd=REPOSITORY,
            env=child_environment(),
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"leads\n"
            callers = [Caller(cache, lambda lead: lead.keep(ANSWER)) for _ in range(3)]
            left = partial(milliseconds_left, redis)
            # It renews its lease, so nobody takes it over while it lives.
            eventually(lambda: left() < LEASE_SECONDS * 1000 - 500)
            eventually(lambda: left() > LEASE_SECONDS * 1000 - 300)
            assert all(caller.is_alive() for caller in callers)
        finally:
            process.kill()
            process.wait(SECONDS)
        killed_at = time.monotonic()
        eventually(lambda: not any(caller.is_alive() for caller in callers))
        assert time.monotonic() - killed_at < LEASE_SECONDS + 1
        assert sum(caller.ended().has_led for caller in callers) == 1
        process.stdout.close()
