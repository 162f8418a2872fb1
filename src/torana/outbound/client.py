"""The HTTP client to providers.

urllib3 with our own handling of time: connect, first byte, silence between bytes, and the call as a
whole are four different limits. Errors of urllib3 and of the socket become ours here, most specific
first, and say whether the request surely was not sent.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, parse_url

from torana.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.outbound.addresses import is_public
from torana.outbound.dial import Dialler
from torana.outbound.exchange import DeadlineKeeper, Exchange, Timeouts
from torana.outbound.pools import Pool, SecurePool, current_exchange
from torana.outbound.resolver import Lookup, Resolver, system_lookup
from torana.outbound.silence import BodyWatch
from torana.outbound.trust import system_trust
from torana.outbound.upload import Body

__all__ = ["Answer", "Body", "Exchange", "HttpClient", "Timeouts"]

_CHUNK = 65_536


class Answer:
    """A provider's answer whose body is not read yet. `close` it in any case.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive.
    """

    def __init__(
        self,
        response: BaseHTTPResponse,
        exchange: Exchange,
        timeouts: Timeouts,
        keeper: DeadlineKeeper,
    ) -> None:
        self._response = response
        self._exchange = exchange
        self._idle = timeouts.idle
        self._keeper = keeper
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def read(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            UpstreamGarbage: it is larger than `limit` bytes.
            UpstreamTimeout, UpstreamCut: it did not arrive whole.
        """
        parts = []
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise UpstreamGarbage("The model's answer is larger than Torana accepts.")
            parts.append(chunk)
        return b"".join(parts)

    def chunks(self, *, silence: float | None = None) -> Iterator[bytes]:
        """The body as it arrives, nothing held back.

        Args:
            silence: seconds after which an empty chunk tells that no byte has come, and again after
                each further so many. The limits of the call go on meanwhile.

        Raises:
            UpstreamTimeout, UpstreamCut: it did not arrive whole.
        """
        watch = None if silence is None else self._watch()
        try:
            yield from self._read_on(watch, silence or 0.0)
        finally:
            if watch is not None:
                watch.close()

    def _read_on(self, watch: BodyWatch | None, silence: float) -> Iterator[bytes]:
        response = self._response
        exchange = self._exchange
        while True:
            exchange.wait_at_most(self._idle)
            while watch is not None and not self._speaks(watch, silence):
                yield b""
            try:
                chunk = response.read1(_CHUNK)
            except (HTTPError, OSError) as error:
                raise _error_of(error, exchange) from error
            if not chunk:
                break
            yield chunk
        # http.client takes an early end for the end: the length tells them apart.
        if response.length_remaining or exchange.expired or exchange.aborted:
            raise _error_of(None, exchange)
        exchange.detach()
        response.release_conn()
        self._keeper.discard(exchange)

    def _watch(self) -> BodyWatch | None:
        """A watch over the body; None when it has been read already."""
        connected = self._exchange.connected
        if connected is None or connected.fileno() < 0:
            return None
        # urllib3 has no word for what it reads from.
        return BodyWatch(self._response._fp, connected)  # type: ignore[attr-defined]  # noqa: SLF001

    def _speaks(self, watch: BodyWatch, silence: float) -> bool:
        try:
            return watch.wait(silence)
        except OSError as error:
            raise _error_of(error, self._exchange) from error

    def close(self) -> None:
        """Be done with the answer; unless it was read to its end, its connection is closed too."""
        self._keeper.discard(self._exchange)
        self._response.close()


class HttpClient:
    """Connections to all providers; share one per process.

    Connections that were made to public addresses only, and those that were made to any, are never
    used in each other's place.

    Args:
        idle_connections: how many to keep for each host.
        resolve: what finds the addresses of names; it may block.
        permits: whether an address is public.
    """

    def __init__(
        self,
        *,
        idle_connections: int = 256,
        resolve: Lookup = system_lookup,
        permits: Callable[[str], bool] = is_public,
    ) -> None:
        self._keeper = DeadlineKeeper()
        resolver = Resolver(resolve)
        trust = system_trust()
        self._public = _manager(Dialler(resolver, permits), idle_connections, trust)
        self._private = _manager(Dialler(resolver, None), idle_connections, trust)

    def post(
        self,
        url: str,
        *,
        body: bytes | Body,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        exchange: Exchange,
        private: bool = False,
    ) -> Answer:
        """Send a request and wait for the status line and headers of its answer.

        Args:
            url: where to; redirects are not followed.
            body: what to send, in one piece or as it comes.
            headers: besides the host and the length.
            timeouts: limits of this try.
            exchange: limits of the call; lets another greenlet or thread end it.
            private: the host may have an address that is not public.

        Raises:
            UpstreamForbidden: the host has no address that calls may go to; nothing was sent.
            UpstreamUnreachable: it was surely not sent.
            UpstreamTimeout, UpstreamCut: it may have been processed.
        """
        return self._request("POST", url, body, headers, timeouts, exchange, private)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        exchange: Exchange,
        private: bool = False,
    ) -> Answer:
        """Like `post`, without a body."""
        return self._request("GET", url, None, headers, timeouts, exchange, private)

    def delete(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        exchange: Exchange,
        private: bool = False,
    ) -> Answer:
        """Like `get`, to have something deleted."""
        return self._request("DELETE", url, None, headers, timeouts, exchange, private)

    def close(self) -> None:
        """Close idle connections."""
        self._public.clear()
        self._private.clear()

    def _request(
        self,
        method: str,
        url: str,
        body: bytes | Body | None,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        exchange: Exchange,
        private: bool,
    ) -> Answer:
        left = exchange.deadline - time.monotonic()
        if left <= 0 or exchange.aborted:
            raise UpstreamUnreachable("No time is left for this call.")
        # A fresh try: the connection before may have been shut, because its time was up.
        exchange.sent = exchange.expired = False
        exchange.first_byte = timeouts.first_byte
        exchange.idle = timeouts.idle
        exchange.limit = exchange.deadline  # urllib3 keeps the time to connect.
        self._keeper.add(exchange)
        token = current_exchange.set(exchange)
        try:
            pool, target = _pool(self._private if private else self._public, url)
            response = pool.urlopen(
                method,
                target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(connect=min(timeouts.connect, left), read=None),
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError) as error:
            self._keeper.discard(exchange)
            raise _error_of(error, exchange) from error
        except BaseException:
            self._keeper.discard(exchange)
            raise
        finally:
            current_exchange.reset(token)
        return Answer(response, exchange, timeouts, self._keeper)


def _manager(dialler: Dialler, idle_connections: int, trust: ssl.SSLContext) -> urllib3.PoolManager:
    """Pools whose connections one dialler makes. It reads no proxy from the environment."""
    manager = urllib3.PoolManager(
        num_pools=256,
        maxsize=idle_connections,
        block=False,
        retries=False,
        ssl_context=trust,
    )
    makers: dict[str, Any] = {
        "http": partial(Pool, dialler),
        "https": partial(SecurePool, dialler),
    }
    manager.pool_classes_by_scheme = makers
    return manager


def _pool(manager: urllib3.PoolManager, url: str) -> tuple[Any, str]:
    parsed = parse_url(url)
    pool = manager.connection_from_host(parsed.host, parsed.port, parsed.scheme)
    return pool, parsed.request_uri


def _error_of(error: Exception | None, exchange: Exchange) -> UpstreamError:
    if not exchange.sent:
        if isinstance(error, LocationParseError):
            return UpstreamUnreachable("The provider's address is not a URL.")
        if isinstance(error, SSLError):
            return UpstreamUnreachable("No trusted connection to the provider could be made.")
        return UpstreamUnreachable("The provider could not be reached.")
    if exchange.expired:
        return UpstreamTimeout("The provider did not answer in time.")
    return UpstreamCut("The provider's connection ended before its answer did.")
