"""All checks of `cache_races.py`, and those of greenlets, in a process that gevent has patched.

`python -m tests.integration.inference.cache_under_gevent FOLDER` prints a JSON object: for each
check an empty text, or how it failed.
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 -- gevent patches first
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import gevent

from tests.integration.inference import cache_races
from tests.integration.inference.cache_scene import (
    ANSWER,
    SECONDS,
    RedisServer,
    a_cache,
    enter,
    eventually,
    hits,
    leads,
    redis_server,
    shared_redis,
)
from torana.inference.cache import Lead
from torana.inference.cache_store import LEASE_SECONDS
from torana.offload import is_gevent


def check_greenlets_that_are_killed_while_they_wait_or_lead_stop_nobody(
    server: RedisServer,
) -> None:
    with shared_redis(server.url) as redis:
        cache = a_cache(redis)

        def call() -> None:
            turn = enter(cache)
            try:
                gevent.sleep(0.005)
            finally:
                if isinstance(turn, Lead):
                    turn.leave()

        for number in range(10):
            greenlets = [gevent.spawn(call) for _ in range(8)]
            gevent.sleep((0.0, 0.001, 0.004, 0.01)[number % 4])
            gevent.killall(greenlets[::2])
            gevent.joinall(greenlets, timeout=LEASE_SECONDS + 2)
            assert all(greenlet.dead for greenlet in greenlets), "the others wait for ever"
        eventually(lambda: len(cache._flights) == 0)
        lead = leads(enter(cache))
        lead.keep(ANSWER)
        hits(enter(cache))


OF_GREENLETS: dict[str, Callable[[RedisServer], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (check_greenlets_that_are_killed_while_they_wait_or_lead_stop_nobody,)
}


def main() -> None:
    assert is_gevent()
    results = {}
    with redis_server(Path(sys.argv[1])) as server:
        for name, check in (cache_races.CHECKS | OF_GREENLETS).items():
            with shared_redis(server.url) as redis:
                redis.execute([("FLUSHALL",)])
            try:
                with gevent.Timeout(SECONDS * 2):
                    check(server)
                results[name] = ""
            except BaseException:  # noqa: BLE001 -- the test that reads this fails with it
                results[name] = traceback.format_exc()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
