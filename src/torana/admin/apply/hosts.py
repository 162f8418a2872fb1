"""Hosts at private addresses: those that a file allows, and those that its providers are at."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from torana.admin.allowed_hosts import (
    allow_host,
    check_base_url,
    list_allowed_hosts,
    stored_host,
)
from torana.admin.apply.difference import Change
from torana.admin.apply.part import Part
from torana.admin.apply.problems import Problem
from torana.admin.apply.upstream_parts import ProviderPart
from torana.db.session import Database
from torana.errors import HostNotAllowed, InvalidRequest
from torana.outbound.resolver import Lookup


class HostPart(Part):
    """One of `allowed_hosts`."""

    kind = "allowed host"
    own_names = {"host": ""}  # noqa: RUF012 -- a constant; the host is the whole of it

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        allowed = {view.host for view in list_allowed_hosts(database)}
        return None if stored_host(self.name) in allowed else self.added()

    def write(self, database: Database) -> None:
        """See `Part`."""
        allow_host(database, self.name)


def check_hosts(
    database: Database, parts: Sequence[Part], present: Mapping[str, str], resolve: Lookup
) -> list[Problem]:
    """The providers that would be at private addresses which nobody allows.

    It asks for the addresses of names, so no transaction may be open. A provider that is where it
    was before is left alone.

    Args:
        database: hosts that are allowed already are there.
        parts: of the file.
        present: base URLs of the providers that there are.
        resolve: finds the addresses of names.
    """
    allowed = {view.host for view in list_allowed_hosts(database)}
    # One that is no host is refused when its part is tried, as is what is no base URL.
    for part in parts:
        if isinstance(part, HostPart):
            with contextlib.suppress(InvalidRequest):
                allowed.add(stored_host(part.name))
    problems = []
    for part in parts:
        if not isinstance(part, ProviderPart):
            continue
        try:
            base_url = part.base_url()
            if base_url != present.get(part.name):
                check_base_url(allowed, base_url, resolve=resolve)
        except HostNotAllowed as error:
            path = (*part.path, "base_url")
            problems.append(Problem(path, f"{error.public_message} Or add it to allowed_hosts."))
        except InvalidRequest:
            continue
    return problems
