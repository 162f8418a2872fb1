"""Making connections, to addresses that calls may go to and to no others.

The guard is here because this is where a name becomes an address for the last time: what was
checked is what is connected to, so a name that changes its address meanwhile changes nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence

from torana.errors import UpstreamForbidden, UpstreamUnreachable
from torana.outbound.resolver import Resolver, SocketAddress

SocketOptions = Iterable[tuple[int, int, int | bytes]]


class Dialler:
    """Connects to hosts.

    Args:
        resolver: finds their addresses.
        permits: whether calls may go to an address; None permits all.
    """

    def __init__(self, resolver: Resolver, permits: Callable[[str], bool] | None) -> None:
        self._resolver = resolver
        self._permits = permits

    def connect(
        self, host: str, port: int, seconds: float, options: SocketOptions = ()
    ) -> socket.socket:
        """Connect to the first of a host's addresses that accepts.

        Args:
            host: a name, or an address, with or without brackets.
            port: of the server.
            seconds: for all of it: to resolve, and to try one address after the other.
            options: of the socket, set before it connects.

        Returns:
            A socket whose timeout is what is left of `seconds`.

        Raises:
            UpstreamForbidden: the host has only addresses that calls may not go to.
            UpstreamUnreachable: it has none, or none accepts in time.
        """
        deadline = time.monotonic() + seconds
        addresses = self._permitted(self._resolver.addresses(host.strip("[]"), port, seconds))
        failure: OSError | None = None
        for number, address in enumerate(addresses, 1):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            # One address that swallows all packets must leave time to try another.
            patience = left if number == len(addresses) else left / 2
            try:
                connected = _connected(address, patience, options)
            except OSError as error:
                failure = error
            else:
                connected.settimeout(max(deadline - time.monotonic(), 0.001))
                return connected
        if failure is None or isinstance(failure, TimeoutError):
            raise UpstreamUnreachable(
                "The provider did not accept a connection in time."
            ) from failure
        raise UpstreamUnreachable("The provider could not be reached.") from failure

    def _permitted(self, addresses: Sequence[SocketAddress]) -> Sequence[SocketAddress]:
        if not addresses:
            raise UpstreamUnreachable("The provider's host name has no address.")
        if self._permits is None:
            return addresses
        permitted = [address for address in addresses if self._permits(address[0])]
        if not permitted:
            raise UpstreamForbidden(
                "The provider's host has a private address that calls may not go to.",
                hint="The administrator allows it with `torana providers allow-host HOST`.",
            )
        return permitted


def _connected(address: SocketAddress, seconds: float, options: SocketOptions) -> socket.socket:
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            connection.setsockopt(*option)
        connection.settimeout(seconds)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
