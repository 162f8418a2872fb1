"""Processes that share the health of targets through a real Redis, and through one that fails.

Each `Process` is what a process has: a registry, a client and a loop, on threads of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from torana.coordination import SYNC_SECONDS, HealthSync, open_redis
from torana.coordination.health_sync import TABLE
from torana.errors import CallerGone, ToranaError, UpstreamRateLimited, UpstreamTimeout
from torana.inference.health import Attempt, Health
from torana.loops import Loop
from torana.routing.health import HealthPolicy

FAILED = UpstreamTimeout("x")
POLICY = HealthPolicy(open_seconds=1.0, longest_open_seconds=4.0)
SOON = 2.0
"""Seconds within which processes hear of each other. One is promised, half is usual; the machine
that runs the tests may be busy."""


class Process:
    """A registry that shares what it knows."""

    def __init__(self, url: str, policy: HealthPolicy = POLICY) -> None:
        self.health = Health(policy)
        self.redis = open_redis(url)
        self.sync = HealthSync(self.health, self.redis)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=Loop("health", self.sync.run_once, seconds=SYNC_SECONDS).run,
            args=(self._stopping,),
        )
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)
        self.redis.close()

    def call(self, error: ToranaError | None = None, model: str = "m") -> bool:
        """One call; whether it was let in."""
        attempt = self.enter(model)
        if attempt is not None:
            attempt.ended(error)
        return attempt is not None

    def enter(self, model: str = "m") -> Attempt | None:
        return self.health.enter("p", model, streamed=False)

    def open(self, model: str = "m") -> None:
        for _ in range(5):
            self.call(FAILED, model)
        assert self.state(model) == "open"

    def state(self, model: str = "m") -> str:
        return self.health.view("p", model).state


@contextmanager
def processes(url: str, count: int, policy: HealthPolicy = POLICY) -> Iterator[list[Process]]:
    made: list[Process] = []
    try:
        made.extend(Process(url, policy) for _ in range(count))
        yield made
    finally:
        for process in made:
            process.close()


@pytest.fixture
def pair(server, until) -> Iterator[list[Process]]:
    with processes(server.url, 2, HealthPolicy()) as two:
        until(lambda: all(process.health.shared for process in two))
        yield two


@pytest.fixture
def quick(server, until) -> Iterator[list[Process]]:
    """Two whose targets stay open for about a second."""
    with processes(server.url, 2) as two:
        until(lambda: all(process.health.shared for process in two))
        yield two


Until = Callable[..., float]


def test_what_one_process_has_opened_is_open_in_the_other(pair, until: Until):
    one, other = pair
    one.open()
    assert until(lambda: other.state() == "open") < SOON
    ours, theirs = one.health.view("p", "m"), other.health.view("p", "m")
    assert theirs.reason == "upstream_timeout"
    assert abs(ours.wait - theirs.wait) < 0.2
    assert not other.call()


def test_a_target_that_cools_cools_in_both(pair, until: Until):
    one, other = pair
    error = UpstreamRateLimited("x")
    error.cooldown = 30.0
    one.call(error)
    assert until(lambda: other.state() == "cooling") < SOON
    assert 25 < other.health.view("p", "m").wait <= 30


def test_a_process_that_starts_later_hears_of_it(pair, server, until: Until):
    pair[0].open()
    with processes(server.url, 1) as (late,):
        assert until(lambda: late.state() == "open") < SOON


def test_odd_names_are_shared(pair, until: Until):
    one, other = pair
    name = 'a "model" / with\nünïcödé \x00'
    one.open(name)
    assert until(lambda: other.state(name) == "open") < SOON


def test_a_good_probe_of_one_closes_it_in_the_other(quick, until: Until):
    one, other = quick
    one.open()
    until(lambda: other.state() == "open")
    until(other.call)
    assert other.state() == "closed"
    assert until(lambda: one.state() == "closed") < SOON


def test_a_failed_probe_of_one_opens_it_in_the_other_for_longer(quick, until: Until):
    one, other = quick
    one.open()
    until(lambda: other.state() == "open")
    until(lambda: other.call(FAILED))
    assert until(lambda: one.state() == "open") < SOON
    ours, theirs = one.health.view("p", "m").wait, other.health.view("p", "m").wait
    assert abs(ours - theirs) < 0.2
    # Twice as long, a fifth less by chance, and what has passed until it was heard of.
    assert ours > 2 * POLICY.open_seconds * 0.8 - 1.0


def test_one_process_at_a_time_probes(server, until: Until):
    with processes(server.url, 4) as four:
        until(lambda: all(process.health.shared for process in four))
        four[0].open()
        until(lambda: all(process.state() == "open" for process in four))
        probing: list[Attempt] = []
        most = 0
        end = time.monotonic() + 6.0
        while time.monotonic() < end:
            for process in four:
                attempt = process.enter()
                if attempt is not None:
                    assert attempt.probe
                    probing.append(attempt)
            most = max(most, len(probing))
            time.sleep(0.005)
        assert most == 1, "the probe goes on, so no other one may begin"
        probing[0].ended(None)
        assert until(lambda: all(process.state() == "closed" for process in four)) < SOON


def test_a_probe_that_says_nothing_lets_another_process_try(quick, until: Until):
    one, other = quick
    one.open()
    until(lambda: other.state() == "open")
    until(lambda: one.call(CallerGone("x")))
    # The lease ends by itself, or the loop gives it back.
    assert until(other.call) < 6.0
    until(lambda: one.state() == "closed")


def test_a_process_that_dies_with_the_lease_holds_up_nobody_for_long(server, until: Until):
    with processes(server.url, 1) as (other,):
        until(lambda: other.health.shared)
        with processes(server.url, 1) as (one,):
            until(lambda: one.health.shared)
            one.open()
            until(lambda: other.state() == "open")
            until(lambda: one.enter() is not None)
        assert until(other.call) < 6.0
        assert other.state() == "closed"


def test_where_calls_are_rare_the_first_one_probes(quick, until: Until):
    one, other = quick
    one.open()
    until(lambda: other.state() == "open")
    until(lambda: other.state() == "half_open")
    time.sleep(2.2)
    assert other.call()
    assert other.state() == "closed"


def test_only_names_states_and_codes_are_in_redis(pair, server, until: Until):
    one, other = pair
    one.open()
    until(lambda: other.state() == "open")
    flat = server.say("HGETALL", TABLE)
    assert isinstance(flat, list)
    (field, value) = flat
    assert msgspec.json.decode(field) == ["p", "m", False]
    entry = msgspec.json.decode(value)
    assert set(entry) == {"owner", "kind", "until", "at", "opens", "reason"}
    keys = server.say("KEYS", "*")
    assert isinstance(keys, list)
    assert all(key.startswith(b"torana:") for key in keys)
    assert all(server.say("PTTL", key.decode()) != -1 for key in keys), "nothing is kept for ever"


def test_garbage_in_redis_harms_nobody(pair, server, until: Until):
    one, other = pair
    server.say("HSET", TABLE, "field", "no JSON", '["p","m",false]', '{"owner": 3}')
    one.open()
    assert until(lambda: other.state() == "open") < SOON
    # What nobody can read is cleared away.
    assert until(lambda: server.say("HEXISTS", TABLE, "field") == 0) < SOON


def test_a_key_of_another_type_costs_only_the_sharing(pair, server, until: Until):
    one, other = pair
    server.say("SET", TABLE, "a string")
    one.open()
    assert one.state() == "open"
    assert other.call()
    server.say("DEL", TABLE)
    assert until(lambda: other.state() == "open") < SOON


def test_two_thousand_targets_are_shared_and_no_more(pair, server, until: Until):
    one, other = pair
    for number in range(2100):
        error = UpstreamRateLimited("x")
        error.cooldown = 60.0
        one.call(error, model=f"invented-{number}")
    until(lambda: len(other.health.present()) == 2000)
    time.sleep(3 * SYNC_SECONDS)
    assert server.say("HLEN", TABLE) == 2000


# --- Redis fails --------------------------------------------------------------------------------


def goes_on_alone(pair: list[Process], until: Until) -> None:
    """Each opens, probes and closes by itself, and no call waits."""
    one, other = pair
    assert until(lambda: not one.health.shared and not other.health.shared) < 3.0
    began = time.monotonic()
    one.open("alone")
    assert other.call(model="alone")
    assert time.monotonic() - began < 0.1
    assert until(lambda: one.call(model="alone")) < 3.0
    assert one.state("alone") == "closed"


def finds_the_other_again(pair: list[Process], until: Until) -> None:
    one, other = pair
    one.open("again")
    # Redis is asked again after 5 s at most.
    assert until(lambda: other.state("again") == "open" or not one.call(FAILED, "again")) < 8.0
    until(lambda: one.health.shared and other.health.shared)
    one.open("and again")
    assert until(lambda: other.state("and again") == "open") < SOON


def test_while_redis_is_gone_each_goes_on_alone_and_finds_the_other_again(quick, server, until):
    server.kill()
    goes_on_alone(quick, until)
    server.start()
    finds_the_other_again(quick, until)


def test_while_redis_hangs_each_goes_on_alone_and_finds_the_other_again(quick, server, until):
    server.pause()
    goes_on_alone(quick, until)
    server.resume()
    finds_the_other_again(quick, until)


def test_what_is_open_is_told_again_to_an_empty_redis(pair, server, until: Until):
    one, other = pair
    one.open()
    until(lambda: other.state() == "open")
    server.kill()
    until(lambda: not one.health.shared and not other.health.shared)
    one.open("meanwhile")
    server.start()
    until(lambda: other.state("meanwhile") == "open")
    assert until(lambda: server.say("HLEN", TABLE) in {1, 2}) < SOON


def test_an_emptied_redis_is_filled_again(pair, server, until: Until):
    one, other = pair
    one.open()
    until(lambda: other.state() == "open")
    server.say("FLUSHALL")
    assert until(lambda: server.say("HLEN", TABLE) == 1) < SOON


def test_a_full_redis_costs_only_the_sharing(quick, server, until: Until):
    one, other = quick
    server.fill()
    one.open()
    assert other.call()
    # Nobody can take the lease, so nobody waits for it.
    assert until(one.call) < 3.0
    server.empty()
    one.open()
    assert until(lambda: other.state() == "open") < SOON
