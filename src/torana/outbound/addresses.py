"""Which addresses are of the public internet, and what an IP address may look like in a URL.

Pure: nothing is resolved here. The networks are those of IANA's registries of special-purpose
addresses (RFC 6890 and its successors) that are not globally reachable, and the few that are
reachable and never those of a provider.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_FORBIDDEN_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host, this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # between a carrier and its customers
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # what Azure tells its virtual machines; public by number only
        "169.254.0.0/16",  # link-local, where clouds have their metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
"""All that has been assigned as global unicast; what is outside is refused without being named."""
_FORBIDDEN_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, among them Teredo and benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address that some relay would send to
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 reaches an IPv4 address, which is the last four bytes."""
_IPV4_LIKE = re.compile(r"[0-9a-fx]+(\.[0-9a-fx]+){0,3}")


def is_public(address: str) -> bool:
    """Whether an address is one that anybody on the internet may be at.

    Args:
        address: as `getaddrinfo` writes it; what is no address is not public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        embedded = _embedded(parsed)
        if embedded is None:
            return parsed in _UNICAST_V6 and not any(parsed in one for one in _FORBIDDEN_V6)
        parsed = embedded
    return not any(parsed in network for network in _FORBIDDEN_V4)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one ends at, if it does."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped


def literal_address(host: str) -> str | None:
    """The address that a URL's host is, in any spelling that a resolver takes for one.

    `127.1`, `0x7f.1`, `2130706433` and `017700000001` are all 127.0.0.1.

    Args:
        host: with or without the brackets of IPv6.

    Returns:
        The address in its usual spelling, without a zone; None when the host is a name.
    """
    text = host.removeprefix("[").removesuffix("]").partition("%")[0].removesuffix(".").lower()
    if ":" in text:
        try:
            return str(IPv6Address(text))
        except ValueError:
            return None
    if not _IPV4_LIKE.fullmatch(text):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return None
