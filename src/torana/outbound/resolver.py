"""From a host's name to its addresses, in bounded time.

`getaddrinfo` can't be given a limit, and a name server that does not answer holds it for as long as
the system's own patience goes. So each lookup of a name has a thread of its own, of which there
are few, and whoever waits for it waits only as long as it likes. Which addresses are good is not
known here.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from torana.errors import UpstreamUnreachable
from torana.offload import is_gevent

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""As `connect` takes it: IPv4 has two parts, IPv6 four."""
Lookup = Callable[[str, int], Sequence[SocketAddress]]
"""The addresses of a host and port. It may block; it raises OSError where there are none."""

_LOOKUPS_AT_ONCE = 32


def system_lookup(host: str, port: int) -> Sequence[SocketAddress]:
    """What the machine's own resolver says, `/etc/hosts` and search domains included.

    Raises:
        OSError: the name has no address, or nobody could be asked.
        UnicodeError: it can't be a name.
    """
    return _look_up(host, port)


class Resolver:
    """Finds the addresses of hosts.

    Calls that want the same name at the same time wait for one lookup. So a name that hangs holds
    one thread, however many calls want it, and no call waits for another name's lookup.

    Args:
        lookup: asks whoever knows.
    """

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _Question] = {}

    def addresses(self, host: str, port: int, seconds: float) -> Sequence[SocketAddress]:
        """The addresses of a host, in the order in which they should be tried.

        Args:
            host: a name, or an address in any spelling.
            port: goes into the addresses.
            seconds: how long to wait at most.

        Raises:
            UpstreamUnreachable: there are none, or nobody said so in time.
        """
        try:
            return _literal_lookup(host, port)
        except UnicodeError as error:
            raise UpstreamUnreachable("The provider's host is not a name.") from error
        except OSError:
            question = self._ask(host, port)
        if not question.answered.wait(seconds):
            raise UpstreamUnreachable("The provider's host name could not be resolved in time.")
        if question.error is not None:
            raise UpstreamUnreachable(
                "The provider's host name could not be resolved."
            ) from question.error
        return question.addresses

    def _ask(self, host: str, port: int) -> _Question:
        with self._lock:
            question = self._under_way.get((host, port))
            if question is not None:
                return question
            if len(self._under_way) >= _LOOKUPS_AT_ONCE:
                raise UpstreamUnreachable("Too many host names are being resolved already.")
            question = self._under_way[host, port] = _Question()
            thread = threading.Thread(
                target=self._answer, args=(question, host, port), name="resolver", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                del self._under_way[host, port]
                raise UpstreamUnreachable("No thread is free to resolve a host name.") from error
        return question

    def _answer(self, question: _Question, host: str, port: int) -> None:
        try:
            question.addresses = _beside(self._lookup, host, port)
        except (OSError, UnicodeError, RuntimeError) as error:
            question.error = error
        finally:
            with self._lock:
                del self._under_way[host, port]
            question.answered.set()


class _Question:
    """One lookup under way."""

    __slots__ = ("addresses", "answered", "error")

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.addresses: Sequence[SocketAddress] = ()
        self.error: Exception | None = None


def _beside(lookup: Lookup, host: str, port: int) -> Sequence[SocketAddress]:
    """Call what blocks, from a thread of a lookup.

    Under gevent that thread is a greenlet, and needs a native one. It is not one of the hub's pool:
    there are ten of those, and a name server that is silent would take them all from the database.
    """
    if not is_gevent():
        return lookup(host, port)
    from gevent.threadpool import ThreadPool  # noqa: PLC0415 -- only where gevent runs already

    pool = ThreadPool(1)
    try:
        found: Sequence[SocketAddress] | Exception = pool.apply(_tried, (lookup, host, port))
    finally:
        pool.kill()
    if isinstance(found, Exception):
        raise found
    return found


def _tried(lookup: Lookup, host: str, port: int) -> Sequence[SocketAddress] | Exception:
    """What a lookup gives or raises; gevent's hub would print what a thread of its raises."""
    try:
        return lookup(host, port)
    except (OSError, UnicodeError) as error:
        return error


def _literal_lookup(host: str, port: int) -> Sequence[SocketAddress]:
    """The address that a host is; nobody is asked, so this takes no time.

    Raises:
        OSError: the host is a name.
        UnicodeError: it can't be a name either.
    """
    return _look_up(host, port, socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)


def _look_up(host: str, port: int, flags: int = 0) -> Sequence[SocketAddress]:
    look_up: Callable[..., Any] = socket.getaddrinfo
    if is_gevent():
        # The system's own: gevent's would take a thread of the hub's pool.
        from gevent.monkey import get_original  # noqa: PLC0415 -- only where gevent runs already

        look_up = get_original("socket", "getaddrinfo")
    found = look_up(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [address for _family, _kind, _protocol, _name, address in found]
