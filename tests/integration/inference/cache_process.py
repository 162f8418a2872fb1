"""A process that leads and goes on leading: `python -m ... REDIS_URL` says `leads`, then waits."""

import sys
import threading

from tests.integration.inference.cache_scene import a_cache, enter, leads, shared_redis
from torana.inference.cache_store import RENEW_SECONDS
from torana.loops import Loop


def main() -> None:
    with shared_redis(sys.argv[1]) as redis:
        cache = a_cache(redis)
        stopping = threading.Event()
        Loop("cache", cache.renew, seconds=RENEW_SECONDS).start(stopping)
        leads(enter(cache, seconds=600))
        print("leads", flush=True)  # noqa: T201 -- read by the test
        stopping.wait(60)


if __name__ == "__main__":
    main()
