"""The connection to Redis, with bounds on every wait: the library's own are far too patient."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 1.0


def redis_answers(url: str) -> bool:
    """Whether Redis answers a ping within about a second.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
    """
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False
    finally:
        client.close()
