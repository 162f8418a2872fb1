"""The client of Redis, with a Redis that works and with one that does not."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from torana.coordination import SharedRedis, open_redis, redis_answers
from torana.coordination.connections import MOST_CONNECTIONS
from torana.errors import ConfigurationError

LONGEST = 1.0
"""Half a second is promised; the machine that runs the tests may be busy."""


def timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


def test_values_are_kept_until_they_expire(client, until):
    assert client.get("key") is None
    assert client.set("key", b"\x00value", px=60_000)
    assert client.get("key") == b"\x00value"
    assert client.set("key", b"short", px=50)
    until(lambda: client.get("key") is None)


def test_a_value_that_is_there_is_kept_where_only_new_ones_are_wanted(client):
    assert client.set("key", b"one", px=60_000, nx=True)
    assert not client.set("key", b"other", px=60_000, nx=True)
    assert client.get("key") == b"one"
    assert not client.away


def test_values_are_forgotten(client):
    client.set("one", b"1", px=60_000)
    assert client.delete("one", "other")
    assert not client.delete("one", "other")


def test_several_commands_go_in_one_round_and_one_refused_does_not_harm_the_others(client):
    answers = client.execute([("SET", "key", "1"), ("NO-SUCH-COMMAND",), ("INCR", "key")])
    assert answers == [b"OK", None, 2]
    assert client.get("key") == b"2"


def test_a_value_of_megabytes_is_read(client):
    value = b"x" * 4_000_000
    assert client.set("key", value, px=60_000)
    assert client.get("key") == value


def test_many_threads_share_few_connections(server, client):
    def work(number: int) -> None:
        for turn in range(50):
            value = f"{number} {turn}".encode()
            client.set(f"key {number}", value, px=60_000)
            got.append(client.get(f"key {number}") in {value, None})

    got: list[bool] = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(2 * MOST_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert got == [True] * (2 * MOST_CONNECTIONS * 50)
    assert not client.away
    clients = server.say("CLIENT", "LIST")
    assert isinstance(clients, bytes)
    assert len(clients.splitlines()) <= MOST_CONNECTIONS + 2


def ask_while_away(client: SharedRedis) -> None:
    """One question waits a little, the others do not wait at all."""
    answers = [
        client.get("key"),
        client.set("key", b"value", px=1000),
        client.delete("key"),
        client.execute([("PING",)]),
    ]
    assert answers == [None, False, False, None]
    assert client.away


def test_a_redis_that_does_not_answer_costs_one_short_wait(server, client, until):
    client.set("key", b"value", px=60_000)
    server.pause()
    _, seconds = timed(lambda: ask_while_away(client))
    assert 0.2 < seconds < LONGEST
    server.resume()
    assert until(lambda: client.get("key") == b"value") < 2.0


def test_it_is_asked_again_after_growing_pauses(server, client, until):
    server.pause()
    waits = []
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        _, seconds = timed(lambda: client.get("key"))
        if seconds > 0.1:
            waits.append(seconds)
        time.sleep(0.01)
    # At once, after 0.5 s, after 1 s more, after 2 s more.
    assert 3 <= len(waits) <= 4
    assert max(waits) < LONGEST
    server.resume()
    until(lambda: client.set("key", b"value", px=1000))


def test_a_redis_that_is_gone_costs_next_to_nothing(server, client, until):
    server.kill()
    _, seconds = timed(lambda: ask_while_away(client))
    assert seconds < 0.2
    server.start()
    assert until(lambda: client.set("key", b"value", px=1000)) < 2.0


def test_a_restart_between_two_questions_is_not_noticed(server, client):
    client.set("key", b"value", px=60_000)
    server.kill()
    server.start()
    assert client.get("key") is None
    assert client.set("key", b"value", px=60_000)
    assert not client.away


def test_a_full_redis_answers_what_it_has(server, client):
    client.set("key", b"value", px=60_000)
    server.fill()
    assert not client.set("other", b"value", px=60_000)
    assert client.get("key") == b"value"
    assert not client.away
    server.empty()
    assert client.set("other", b"value", px=60_000)


def test_failures_and_refusals_are_counted_and_an_outage_is_logged_once(server, caplog, until):
    caplog.set_level(logging.INFO, "torana.redis")
    failures: list[None] = []
    client = open_redis(server.url, failed=lambda: failures.append(None))
    client.execute([("NO-SUCH-COMMAND",)])
    assert len(failures) == 1
    server.kill()
    until(lambda: client.get("key") is None and len(failures) >= 3)
    server.start()
    until(lambda: client.set("key", b"value", px=1000))
    assert [record.msg for record in caplog.records] == ["redis.away", "redis.back"]
    client.close()


def test_a_redis_with_a_port_a_password_and_databases_is_reached(server):
    server.say("CONFIG", "SET", "requirepass", "very secret")
    url = f"localhost:{server.port}/3"
    client = open_redis(f"redis://:very%20secret@{url}")
    assert client.set("key", b"value", px=60_000)
    info = client.execute([("CLIENT", "LIST")])
    assert info is not None
    assert b" db=3 " in info[0]
    client.close()
    for wrong in (f"redis://:wrong@{url}", f"redis://{url}"):
        refused = open_redis(wrong)
        assert refused.get("key") is None
        assert refused.away
        refused.close()


@pytest.fixture
def silent():
    """A port where connections are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_says_nothing_costs_one_short_wait(silent):
    client = open_redis(f"redis://:secret@127.0.0.1:{silent}/1?socket_timeout=30")
    _, seconds = timed(lambda: ask_while_away(client))
    assert seconds < LONGEST
    client.close()


def test_many_callers_at_once_wait_as_briefly_as_one(silent):
    client = open_redis(f"redis://127.0.0.1:{silent}")
    waits: list[float] = []
    threads = [
        threading.Thread(target=lambda: waits.append(timed(lambda: client.get("key"))[1]))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(waits) == 100
    assert max(waits) < LONGEST
    client.close()


def test_a_name_that_nobody_looks_up_costs_one_short_wait(monkeypatch):
    asked = threading.Event()

    def never(*_args: object, **_options: object) -> list[object]:
        asked.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    client = open_redis("redis://redis.example:6379")
    try:
        answer, seconds = timed(lambda: client.get("key"))
        assert answer is None
        assert 0.2 < seconds < LONGEST
    finally:
        asked.set()


def test_a_name_that_does_not_exist_is_an_outage(monkeypatch):
    def unknown(*_args: object, **_options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    client = open_redis("rediss://redis.example:6379")
    assert client.get("key") is None
    assert client.away
    assert not redis_answers("rediss://redis.example:6379")


def test_a_name_is_looked_up_and_used(silent):
    client = open_redis(f"redis://localhost:{silent}")
    assert client.get("key") is None
    assert client.away
    client.close()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port"])
def test_what_is_no_url_of_a_redis_is_refused(url):
    with pytest.raises(ConfigurationError, match="TORANA_REDIS_URL"):
        open_redis(url)
    assert not redis_answers(url)


def test_the_password_of_a_url_is_in_no_text_about_it(caplog):
    caplog.set_level(logging.DEBUG)
    client = open_redis("redis://user:very-secret@127.0.0.1:1/0")
    assert client.get("key") is None
    assert "very-secret" not in caplog.text + repr(client)
    assert all("very-secret" not in str(vars(record)) for record in caplog.records)


def test_whether_it_answers_is_known_in_bounded_time(server, silent):
    assert redis_answers(server.url)
    server.pause()
    for url in (server.url, f"redis://127.0.0.1:{silent}"):
        answers, seconds = timed(partial(redis_answers, url))
        assert not answers
        assert seconds < LONGEST
    server.resume()
