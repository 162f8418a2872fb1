"""What the path of a call must know of the connection to its caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from torana.auth.principal import Principal
from torana.inference.cache_terms import CacheWish


class CallerLink(Protocol):
    """The connection to a caller."""

    def gone(self) -> bool:
        """Whether the caller has hung up."""

    def watch(self, hung_up: Callable[[float], None]) -> Callable[[], None]:
        """Have `hung_up` called again and again once the caller has gone, with the seconds since.

        Returns:
            What ends the watch.
        """


class NoLink:
    """A caller that can't hang up, such as a background job."""

    def gone(self) -> bool:
        """Never."""
        return False

    def watch(self, hung_up: Callable[[float], None]) -> Callable[[], None]:
        """Nothing to watch."""
        del hung_up
        return lambda: None


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a call that is not in its body.

    Attributes:
        request_id: made by the server; also the call's id on the ledger.
        received_at: on `time.monotonic()`.
        link: the connection to the caller.
        tries_before: how often the caller's SDK has tried this already.
        idempotency_key: the caller's name for this one call, if it sent one.
        tags: the caller's labels beside those of the body.
        strict: what can't be said in the provider's dialect is an error.
        forwarded: headers that mean something to a provider of the caller's own dialect.
        region: the caller wants its call answered there only.
        timeout: seconds after which it wants its call ended.
        patience: seconds after which its SDK gives the call up; no try begins later than that.
        cache: what it wishes of the answer cache.
    """

    request_id: str
    principal: Principal
    received_at: float
    link: CallerLink
    tries_before: int = 0
    idempotency_key: str | None = None
    tags: dict[str, str] = {}
    strict: bool = False
    forwarded: Mapping[str, str] = {}
    region: str | None = None
    timeout: float | None = None
    patience: float | None = None
    cache: CacheWish | None = None
