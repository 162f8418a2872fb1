"""Hosts that providers may be at although their address is private, and who may not be added.

A refusal here is for the administrator who adds a provider, to hear of it at once. What holds is
the guard of `torana.outbound`, which looks at each connection when it is made.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.config_log import MACHINE, log_change
from torana.admin.config_version import raise_version
from torana.core.clock import utc_now
from torana.db.models import AllowedHost
from torana.db.session import Database
from torana.errors import HostNotAllowed, InvalidRequest, NotFound, UpstreamUnreachable
from torana.outbound.addresses import is_public, literal_address
from torana.outbound.resolver import Lookup, Resolver, system_lookup

_RESOLVE_SECONDS = 2.0
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_WITH_PORT = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d{1,5})?")
_LONGEST = 253


class AllowedHostView(msgspec.Struct, frozen=True):
    """A host as it is listed."""

    host: str
    created_at: datetime


def stored_host(text: str) -> str:
    """A host as it is stored and compared: in lower case, without port, brackets and last dot.

    An address stays in the spelling that it has; another spelling is another host.

    Raises:
        InvalidRequest: it is neither a host name nor an IP address.
    """
    lowered = text.strip().lower()
    parts = _WITH_PORT.fullmatch(lowered)
    host = lowered if parts is None else parts[1] or parts[2] or ""
    host = host.removesuffix(".")
    if not _is_host(host):
        raise InvalidRequest(
            "A host is a name or an IP address.",
            hint="Give it without a scheme and a path, such as models.internal or 10.0.0.5.",
            param="host",
        )
    return host


def _is_host(text: str) -> bool:
    if ":" in text:
        try:
            return IPv6Address(text).scope_id is None
        except AddressValueError:
            return False
    if len(text) > _LONGEST or not _NAME.fullmatch(text):
        return False
    # No name ends in a number; what looks like an address and is none must not pass for a name.
    return not text.rpartition(".")[2].isdigit() or literal_address(text) is not None


def host_of(base_url: str) -> str:
    """The host of a base URL, to be looked for among allowed hosts.

    Raises:
        InvalidRequest: it has none.
    """
    try:
        host = urlsplit(base_url).hostname
    except ValueError:
        host = None
    if not host:
        raise InvalidRequest("A base URL has a host.", param="base_url")
    return host.removesuffix(".")


def allow_host(database: Database, host: str, *, actor: str = MACHINE) -> AllowedHostView:
    """Let providers be at a host whatever its address is; nothing changes when they may already.

    Args:
        database: where.
        host: a name or an address; a port does not matter and is left out.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: it is neither a host name nor an IP address.
    """
    stored = stored_host(host)
    with database.write(alone=True) as session:
        row = session.get(AllowedHost, stored)
        is_new = row is None
        if row is None:
            row = AllowedHost(host=stored, created_at=utc_now())
            session.add(row)
            raise_version(session)
        view = AllowedHostView(row.host, row.created_at)
    if is_new:
        log_change("host.allowed", actor, stored, stored)
    return view


def disallow_host(database: Database, host: str, *, actor: str = MACHINE) -> AllowedHostView:
    """Take the permission back; providers at the host can't be called when its address is private.

    Raises:
        InvalidRequest: it is neither a host name nor an IP address.
        NotFound: it was not allowed.
    """
    stored = stored_host(host)
    with database.write(alone=True) as session:
        row = session.get(AllowedHost, stored)
        if row is None:
            raise NotFound(f"The host {stored!r} is not among the allowed ones.")
        view = AllowedHostView(row.host, row.created_at)
        session.delete(row)
        raise_version(session)
    log_change("host.disallowed", actor, stored, stored)
    return view


def list_allowed_hosts(database: Database) -> list[AllowedHostView]:
    """The hosts that are allowed, by name."""
    with database.read() as session:
        rows = session.scalars(select(AllowedHost).order_by(AllowedHost.host))
        return [AllowedHostView(row.host, row.created_at) for row in rows]


def read_allowed_hosts(session: Session) -> frozenset[str]:
    """The hosts that are allowed, for `check_base_url` and for a snapshot of the configuration."""
    return frozenset(session.scalars(select(AllowedHost.host)))


def check_base_url(
    allowed: Collection[str], base_url: str, *, resolve: Lookup = system_lookup
) -> None:
    """Refuse a provider whose host is private and not allowed, as far as that is known now.

    A name that has no address now passes: connections to it are guarded anyway. It may take two
    seconds, so never call it with a transaction open.

    Args:
        allowed: hosts as they are stored.
        base_url: of the provider.
        resolve: finds the addresses of names.

    Raises:
        InvalidRequest: the URL has no host.
        HostNotAllowed: the host is private and not allowed.
    """
    host = host_of(base_url)
    if host not in allowed and _is_private(host, resolve):
        raise HostNotAllowed(
            f"The host {host!r} has a private address, where providers may not be.",
            hint=f"Allow it with `torana providers allow-host {host}`.",
            param="base_url",
        )


def _is_private(host: str, resolve: Lookup) -> bool:
    """Whether no address of a host is public, as far as that can be told quickly."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = literal_address(host)
    if address is not None:
        return not is_public(address)
    try:
        addresses = Resolver(resolve).addresses(host, 0, _RESOLVE_SECONDS)
    except UpstreamUnreachable:
        return False
    return bool(addresses) and not any(is_public(address[0]) for address in addresses)
