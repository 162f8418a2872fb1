"""The connection to Redis, with bounds on every wait: the library's own are far too patient.

It owns how long anybody waits for Redis, and the memory that it failed. It knows nothing of what is
kept there. Everything in Redis may be lost at any moment, so no error of it gets out of here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from torana.coordination.connections import MOST_CONNECTIONS, open_pool
from torana.coordination.patience import Patience
from torana.errors import ConfigurationError

QUEUE_SECONDS = 0.05
"""Most that a caller waits for one of the connections of this process to be free."""

Command = tuple[str | bytes | int, ...]

logger = logging.getLogger("torana.redis")


class SharedRedis:
    """What this process keeps in Redis, and what others have kept there.

    While Redis is away every question is answered at once with None or False. After a failure it
    is left alone for 0.5 s, and for longer with every further failure up to 5 s; then one caller
    asks again. Each step has a quarter of a second: the look-up of its name, a connection, an
    answer. So what hangs costs those who ask at that moment a quarter, and half at most with a
    new connection.

    Args:
        pool: of connections with bounded waits, see `open_redis`.
        failed: is told of every failure, for the metrics.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        failed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._failed = failed
        self._clock = clock
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._patience = Patience()

    @property
    def away(self) -> bool:
        """Whether it did not answer when it was last asked."""
        return self._patience.failures > 0

    def get(self, key: str) -> bytes | None:
        """The value of `key`; None when there is none or Redis is away."""
        value = self._one("GET", key)
        return value if isinstance(value, bytes) else None

    def set(self, key: str, value: bytes, *, px: int, nx: bool = False) -> bool:
        """Keep `value`.

        Args:
            key: its name.
            value: bytes.
            px: milliseconds until it expires; nothing is kept for ever.
            nx: only where there is no value yet.

        Returns:
            Whether it is kept now; False too when Redis is away or full.
        """
        options = ("PX", px, "NX") if nx else ("PX", px)
        return bool(self._one("SET", key, value, *options))

    def delete(self, *keys: str) -> bool:
        """Forget values; whether one of them was there and Redis has said so."""
        return bool(self._one("DEL", *keys))

    def execute(self, commands: Sequence[Command]) -> list[Any] | None:
        """Several commands in one round, not as a transaction.

        Returns:
            An answer for each, as the protocol has it (bytes, numbers, lists, None), and None for
            one that Redis has refused; None for all when Redis is away.
        """
        if not self._may_ask():
            return None
        if not self._places.acquire(timeout=QUEUE_SECONDS):
            # Too many ask at once, which says nothing about Redis.
            self._abandon()
            return None
        try:
            answers = _ask(self._pool, commands)
        except (RedisError, OSError) as error:
            self._note_failure(error)
            return None
        except BaseException:
            # The caller was ended meanwhile; it has learnt nothing of Redis.
            self._abandon()
            raise
        finally:
            self._places.release()
        self._note_success()
        return [self._readable(answer) for answer in answers]

    def close(self) -> None:
        """Close its connections."""
        self._pool.disconnect()

    def _one(self, *command: str | bytes | int) -> Any:
        answers = self.execute((command,))
        return answers[0] if answers else None

    def _may_ask(self) -> bool:
        with self._lock:
            return self._patience.may_ask(self._clock())

    def _abandon(self) -> None:
        with self._lock:
            self._patience.abandoned()

    def _note_success(self) -> None:
        with self._lock:
            was_away = self.away
            self._patience.succeeded()
        if was_away:
            logger.info("redis.back")

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            first = not self.away
            self._patience.failed(self._clock())
        self._failed()
        if first:
            # The class alone: the message names the host, and may quote what was asked for.
            logger.warning("redis.away", extra={"error": type(error).__name__})

    def _readable(self, answer: Any) -> Any:
        """An answer, or None for a refusal: Redis is there, and full, read-only or too careful."""
        if isinstance(answer, ResponseError):
            self._failed()
            logger.debug("redis.refused", extra={"error": type(answer).__name__})
            return None
        return answer


def open_redis(url: str, *, failed: Callable[[], object] = lambda: None) -> SharedRedis:
    """The Redis at `url`. Nothing is connected yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`. Waits that it names do not count: ours do.
        failed: is told of every failure, for the metrics.

    Raises:
        ConfigurationError: the URL is none.
    """
    try:
        return SharedRedis(open_pool(url), failed=failed)
    except ValueError as error:
        raise ConfigurationError(
            "TORANA_REDIS_URL is not a Redis URL.",
            hint="It looks like redis://HOST:6379/0, rediss://... or unix:///PATH.",
        ) from error


def redis_answers(url: str) -> bool:
    """Whether Redis answers a ping within about half a second.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
    """
    try:
        pool = open_pool(url)
    except ValueError:
        return False
    try:
        return _ask(pool, (("PING",),)) == [b"PONG"]
    except (RedisError, OSError):
        return False
    finally:
        pool.disconnect()


def _ask(pool: ConnectionPool, commands: Sequence[Command]) -> list[Any]:
    """The answers to `commands`; one that was refused is answered with the error."""
    connection: Any = pool.get_connection()  # The library's types end here.
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_answer(connection) for _ in commands]
    except BaseException:
        # Answers that nobody has read must not be taken for those of the next.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
