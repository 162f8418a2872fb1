"""Providers as rows: added, changed, taken away, listed beside the built-in ones of the settings.

A provider's keys are `torana.admin.provider_keys`; what is behind a model's name is
`torana.admin.routes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from torana.admin.allowed_hosts import check_base_url, read_allowed_hosts
from torana.admin.builtin import builtin_providers
from torana.admin.config_log import MACHINE, log_change
from torana.admin.config_version import raise_version
from torana.admin.prices import price_from_list
from torana.admin.provider_terms import (
    RESERVED_NAMES,
    check_keys,
    check_name,
    checked_url,
    is_name,
    read_options,
    read_terms,
    write_options,
)
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import ModelRoute, Provider, ProviderKey
from torana.db.session import Database
from torana.errors import Conflict, NotFound
from torana.ledger.locking import database_now
from torana.outbound.resolver import Lookup, system_lookup
from torana.providers import ProviderConfig
from torana.providers.options import ProviderOptions
from torana.secret_box import SecretBox
from torana.settings import Settings

PURPOSE = "provider-keys"
FIRST_LABEL = "first"
"""What a key is called that came without a label."""


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as it is listed: never its keys.

    Attributes:
        id: None of a built-in one.
        preset: what it was made from, if it was.
        options: what its server wants otherwise than its kind does.
        keys: how many it has.
        built_in: it comes from the settings and can't be changed here.
    """

    id: str | None
    name: str
    kind: str
    preset: str | None
    base_url: str
    options: dict[str, Any]
    has_key: bool
    keys: int
    enabled: bool
    built_in: bool
    created_at: datetime | None
    updated_at: datetime | None


class ProviderChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different of a provider; what is left out stays.

    Attributes:
        options: all of them; what they do not say is as the kind has it.
    """

    base_url: str | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    options: ProviderOptions | Mapping[str, Any] | msgspec.UnsetType = msgspec.UNSET


def add_provider(
    database: Database,
    box: SecretBox,
    *,
    name: str,
    base_url: str | None = None,
    kind: str | None = None,
    preset: str | None = None,
    variables: Mapping[str, str] | None = None,
    options: ProviderOptions | Mapping[str, Any] | None = None,
    keys: Sequence[tuple[str, str]] = (),
    api_key: str | None = None,
    enabled: bool = True,
    actor: str = MACHINE,
    resolve: Lookup = system_lookup,
) -> ProviderView:
    """Add a provider; its models are `NAME/model`.

    Args:
        database: where.
        box: encrypts its keys.
        name: by which callers address it.
        base_url: up to and with the version; the preset's when it is None.
        kind: one of `KINDS`: `openai` and `anthropic` have all of those APIs, `compatible` has
            OpenAI's chat. The preset's when it is None, else `compatible`.
        preset: the name of a preset, which says the rest of what is not said here.
        variables: what the preset's base URL leaves open.
        options: fields of `ProviderOptions`; they win over the preset's.
        keys: its credentials, each with a label.
        api_key: a credential without a label.
        enabled: whether calls may go to it.
        actor: who does it, for the log.
        resolve: finds the addresses of the host; it may take two seconds.

    Raises:
        InvalidRequest: the name, the kind, the preset, the URL, an option or a key is not usable.
        HostNotAllowed: the URL is at a private address that is not allowed.
        Conflict: the name is taken.
    """
    check_name(name)
    labelled = [*([(FIRST_LABEL, api_key)] if api_key else []), *keys]
    check_keys(labelled)
    terms = read_terms(kind, preset, base_url, variables or {}, options or {})
    _check_address(database, terms.base_url, resolve)
    with database.write(alone=True) as session:
        taken = session.scalar(select(Provider.id).where(Provider.name == name))
        if name in RESERVED_NAMES or taken is not None:
            raise Conflict(f"The provider name {name!r} is taken.")
        row = Provider(
            id=new_id("prov"),
            name=name,
            kind=terms.kind,
            preset=preset,
            base_url=terms.base_url,
            options=write_options(terms.options),
            enabled=enabled,
            created_at=utc_now(),
            updated_at=utc_now(),
        )
        session.add(row)
        session.flush()
        for label, secret in labelled:
            session.add(new_key(box, row.id, label, secret))
        price_from_list(session, name, database_now(session))
        raise_version(session)
        view = _view(row, keys=len(labelled))
    log_change("provider.added", actor, view.id or "", name)
    return view


def set_provider(
    database: Database,
    name: str,
    change: ProviderChange,
    *,
    keys_go_along: bool = True,
    actor: str = MACHINE,
    resolve: Lookup = system_lookup,
) -> ProviderView:
    """Change a provider; its name, its kind and its preset stay.

    Args:
        database: where.
        name: of the provider.
        change: what shall be different.
        keys_go_along: whether its keys may be sent to another server. Only whoever has the machine
            may let them: anybody else would get to see them that way.
        actor: who does it, for the log.
        resolve: finds the addresses of another host; it may take two seconds.

    Raises:
        NotFound: there is no such provider.
        Conflict: it is built in, or its keys would go along and may not.
        InvalidRequest: the URL or an option is not usable.
        HostNotAllowed: the URL is at a private address that is not allowed.
    """
    base_url = None if change.base_url is msgspec.UNSET else checked_url(change.base_url)
    with database.read() as session:
        is_moved = base_url not in {None, row_of(session, name).base_url}
    if base_url is not None and is_moved:
        _check_address(database, base_url, resolve)
    with database.write(alone=True) as session:
        row = row_of(session, name)
        if base_url is not None:
            if not keys_go_along and _origin(base_url) != _origin(row.base_url):
                _refuse_keys(session, row)
            row.base_url = base_url
        if change.enabled is not msgspec.UNSET:
            row.enabled = change.enabled
        if change.options is not msgspec.UNSET:
            row.options = write_options(read_options(change.options))
        changed = session.is_modified(row)
        if changed:
            row.updated_at = utc_now()
            raise_version(session)
        view = _view(row, keys=_count_keys(session, row.id))
    if changed:
        log_change("provider.changed", actor, view.id or "", name)
    return view


def remove_provider(database: Database, name: str, *, actor: str = MACHINE) -> ProviderView:
    """Take a provider away with its keys; the provider as it was. The ledger keeps its calls.

    Raises:
        NotFound: there is no such provider.
        Conflict: it is built in, or routes use it; the message names them.
    """
    with database.write(alone=True) as session:
        row = row_of(session, name)
        used_by = _routes_to(session, name)
        if used_by:
            more = f" and {len(used_by) - 5} more" if len(used_by) > 5 else ""
            raise Conflict(
                f"Routes lead to the provider {name!r}: {', '.join(used_by[:5])}{more}.",
                hint="Change or remove them first, or disable the provider.",
            )
        view = _view(row, keys=_count_keys(session, row.id))
        session.execute(delete(ProviderKey).where(ProviderKey.provider_id == row.id))
        session.delete(row)
        raise_version(session)
    log_change("provider.removed", actor, view.id or "", name)
    return view


def get_provider(
    database: Database, name: str, *, settings: Settings | None = None
) -> ProviderView:
    """One provider by its name.

    Args:
        database: those that were added are there.
        name: its name.
        settings: also look among the built-in ones that these settings name.

    Raises:
        NotFound: there is no such provider.
    """
    for config in [] if settings is None else builtin_providers(settings):
        if config.name == name:
            return _built_in(config)
    with database.read() as session:
        row = find_row(session, name)
        if row is None:
            raise _not_found(name)
        return _view(row, keys=_count_keys(session, row.id))


def list_providers(database: Database, *, settings: Settings | None = None) -> list[ProviderView]:
    """The providers that were added, by name; after the built-in ones when settings are given."""
    with database.read() as session:
        counts = Counter(session.scalars(select(ProviderKey.provider_id)))
        rows = session.scalars(select(Provider).order_by(Provider.name)).all()
        added = [_view(row, keys=counts[row.id]) for row in rows]
    built_in = [] if settings is None else builtin_providers(settings)
    return [*(_built_in(config) for config in built_in), *added]


# --- shared with the neighbours that write providers' keys and routes -------------------------


def find_row(session: Session, name: str) -> Provider | None:
    """The row of an added provider, if there is one."""
    if not is_name(name):
        return None  # PostgreSQL refuses to look for some names that no row can have.
    return session.scalar(select(Provider).where(Provider.name == name))


def row_of(session: Session, name: str) -> Provider:
    """The row of a provider that may be changed.

    Raises:
        NotFound: there is no such provider.
        Conflict: it is built in.
    """
    row = find_row(session, name)
    if row is not None:
        return row
    if name in RESERVED_NAMES:
        raise Conflict(
            f"The provider {name!r} is built in.", hint="It follows the settings of the service."
        )
    raise _not_found(name)


def new_key(box: SecretBox, provider_id: str, label: str, secret: str) -> ProviderKey:
    """A row for a key; its secret never changes under its id."""
    return ProviderKey(
        id=new_id("pkey"),
        provider_id=provider_id,
        label=label,
        encrypted=box.seal(secret),
        created_at=utc_now(),
    )


def _check_address(database: Database, base_url: str, resolve: Lookup) -> None:
    """See whether a provider may be at an address; outside of a transaction, since it takes time.

    Raises:
        HostNotAllowed: it may not.
    """
    with database.read() as session:
        allowed = read_allowed_hosts(session)
    check_base_url(allowed, base_url, resolve=resolve)


def _origin(base_url: str) -> tuple[str, str]:
    parts = urlsplit(base_url)
    return parts.scheme, parts.netloc.lower()


def _refuse_keys(session: Session, row: Provider) -> None:
    if _count_keys(session, row.id):
        raise Conflict(
            f"The keys of the provider {row.name!r} would be sent to another server.",
            hint="Remove them first and add them again afterwards, or change the base URL at the "
            "command line.",
        )


def _routes_to(session: Session, provider: str) -> list[str]:
    """The names of the routes with a target at a provider, disabled ones too."""
    rows = session.execute(select(ModelRoute.name, ModelRoute.terms).order_by(ModelRoute.name))
    return [
        name
        for name, terms in rows
        if any(target["provider"] == provider for target in terms["targets"])
    ]


def _count_keys(session: Session, provider_id: str) -> int:
    query = select(func.count()).where(ProviderKey.provider_id == provider_id)
    return session.scalars(query).one()


def _not_found(name: str) -> NotFound:
    return NotFound(f"There is no provider {name[:64]!r}.", param="provider")


def _built_in(config: ProviderConfig) -> ProviderView:
    return ProviderView(
        id=None,
        name=config.name,
        kind=config.kind,
        preset=None,
        base_url=config.base_url,
        options={},
        has_key=bool(config.keys),
        keys=len(config.keys),
        enabled=True,
        built_in=True,
        created_at=None,
        updated_at=None,
    )


def _view(row: Provider, *, keys: int) -> ProviderView:
    return ProviderView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        preset=row.preset,
        base_url=row.base_url,
        options=dict(row.options),
        has_key=keys > 0,
        keys=keys,
        enabled=row.enabled,
        built_in=False,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
