"""Connections to Redis whose every wait has a bound, and the one place that knows redis-py's.

The library waits for 5 s and tries ten times, sends four commands before the first, and puts no
bound on the look-up of a name. A URL may name other times: they do not count here.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.exceptions import TimeoutError as RedisTimeout
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

CONNECT_SECONDS = 0.25
ANSWER_SECONDS = 0.25
MOST_CONNECTIONS = 32
_KEPT = {"host", "port", "path", "db", "username", "password", "client_name"}
"""What of a URL counts, with all that begins with `ssl_`."""


class _NamedConnection(Connection):
    """Looks its name up with a bound."""

    def connect(self) -> None:
        """Connect, if it is not connected."""
        if not self.is_connected:
            _look_up(self.host, self.port)
        super().connect()  # type: ignore[no-untyped-call]


class _NamedSSLConnection(SSLConnection):
    """The same with TLS."""

    def connect(self) -> None:
        """Connect, if it is not connected."""
        if not self.is_connected:
            _look_up(self.host, self.port)
        super().connect()  # type: ignore[no-untyped-call]


def open_pool(url: str) -> ConnectionPool:
    """A pool of connections to `url`; none is made yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        ValueError: it is none of these.
    """
    given = parse_url(url)  # type: ignore[no-untyped-call]
    asked = given.pop("connection_class", Connection)
    options: dict[str, Any] = {
        name: value for name, value in given.items() if name in _KEPT or name.startswith("ssl_")
    }
    if asked is UnixDomainSocketConnection:
        kind: type[Any] = asked
    else:
        kind = _NamedSSLConnection if asked is SSLConnection else _NamedConnection
        options["socket_connect_timeout"] = CONNECT_SECONDS
    return ConnectionPool(
        connection_class=kind,
        max_connections=MOST_CONNECTIONS,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
        # The old protocol needs no greeting, so a new connection costs no round.
        protocol=2,
        driver_info=None,
        **options,
    )


def _look_up(host: str, port: int) -> None:
    """Wait for a name's addresses for a bounded time; those who connect then look it up again.

    Raises:
        RedisTimeout: they did not come.
    """
    done = threading.Event()

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            pass  # It fails again at once for the one who connects, and is told there.
        finally:
            done.set()

    threading.Thread(target=look_up, name="redis-name", daemon=True).start()
    if not done.wait(CONNECT_SECONDS):
        message = "the name was not looked up in time"
        raise RedisTimeout(message)
