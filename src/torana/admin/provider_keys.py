"""The keys of providers: several of each, encrypted, never shown again.

A key's secret never changes under its id: another secret is another key. So a process decrypts each
key once, and what it knows of a key's health holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.config_log import MACHINE, log_change
from torana.admin.config_version import raise_version
from torana.admin.provider_terms import check_keys
from torana.admin.providers import PURPOSE, new_key, row_of
from torana.db.models import Provider, ProviderKey
from torana.db.session import Database
from torana.errors import ConfigurationError, Conflict, NotFound
from torana.secret_box import SecretBox


class ProviderKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is listed: nothing of its secret."""

    id: str
    provider: str
    label: str
    created_at: datetime


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation has found.

    Attributes:
        rotated: keys that are encrypted with the newest secret now.
        current: keys that were so before.
        unreadable: keys that none of the present secrets reads; they stay as they are.
    """

    rotated: int
    current: int
    unreadable: tuple[ProviderKeyView, ...]


def add_key(
    database: Database,
    box: SecretBox,
    provider: str,
    *,
    label: str,
    secret: str,
    actor: str = MACHINE,
) -> ProviderKeyView:
    """Give a provider another key.

    Args:
        database: where.
        box: encrypts it.
        provider: the provider's name.
        label: what people call it; a provider's labels differ.
        secret: the key itself.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: the label or the secret is not usable.
        NotFound: there is no such provider.
        Conflict: the provider is built in, or has a key of this label.
    """
    check_keys([(label, secret)])
    with database.write(alone=True) as session:
        owner = row_of(session, provider)
        if _by_label(session, owner, label) is not None:
            raise Conflict(
                f"The provider {provider!r} has a key {label!r}.",
                hint="Remove it first, or choose another label.",
            )
        view = _insert(session, box, owner, label, secret)
    log_change("provider.key_added", actor, view.id, provider)
    return view


def put_key(
    database: Database,
    box: SecretBox,
    provider: str,
    *,
    label: str,
    secret: str,
    actor: str = MACHINE,
) -> tuple[ProviderKeyView, bool]:
    """Let a provider's key of a label have a secret; the key, and whether anything was changed.

    Raises:
        InvalidRequest: the label or the secret is not usable.
        NotFound: there is no such provider.
        Conflict: the provider is built in.
    """
    check_keys([(label, secret)])
    with database.write(alone=True) as session:
        owner = row_of(session, provider)
        row = _by_label(session, owner, label)
        if row is not None:
            if _holds(box, row, secret):
                return _view(row, provider), False
            session.delete(row)
            session.flush()
        view = _insert(session, box, owner, label, secret)
    log_change("provider.key_added", actor, view.id, provider)
    return view, True


def key_holds(
    database: Database, box: SecretBox, provider: str, *, label: str, secret: str
) -> bool:
    """Whether a provider has a key of a label, and it is this one. Changes nothing.

    Raises:
        NotFound: there is no such provider.
        Conflict: the provider is built in.
    """
    with database.read() as session:
        row = _by_label(session, row_of(session, provider), label)
        return row is not None and _holds(box, row, secret)


def list_keys(database: Database, provider: str | None = None) -> list[ProviderKeyView]:
    """The keys of one provider or of all, in the order in which they were added.

    Raises:
        NotFound: there is no such provider.
        Conflict: it is built in.
    """
    with database.read() as session:
        query = select(ProviderKey, Provider.name).join(
            Provider, Provider.id == ProviderKey.provider_id
        )
        if provider is not None:
            query = query.where(Provider.id == row_of(session, provider).id)
        rows = session.execute(
            query.order_by(Provider.name, ProviderKey.created_at, ProviderKey.id)
        )
        return [_view(row, name) for row, name in rows]


def remove_key(
    database: Database, provider: str, key: str, *, actor: str = MACHINE
) -> ProviderKeyView:
    """Take a key away; the key as it was.

    Args:
        database: where.
        provider: the provider's name.
        key: the id or the label.
        actor: who does it, for the log.

    Raises:
        NotFound: there is no such provider, or it has no such key.
        Conflict: the provider is built in.
    """
    with database.write(alone=True) as session:
        owner = row_of(session, provider)
        rows = session.scalars(select(ProviderKey).where(ProviderKey.provider_id == owner.id))
        named = [row for row in rows if key in {row.id, row.label}]
        if not named:
            raise NotFound(f"The provider {provider!r} has no key {key[:64]!r}.", param="key")
        view = _view(named[0], provider)
        session.delete(named[0])
        raise_version(session)
    log_change("provider.key_removed", actor, view.id, provider)
    return view


def rotate_keys(database: Database, secret_keys: Sequence[SecretStr]) -> Rotation:
    """Encrypt all keys with the newest secret that are encrypted with an older one.

    It is one transaction, and doing it again changes nothing.

    Args:
        database: the keys are there.
        secret_keys: the secrets of the installation, newest first.

    Raises:
        ConfigurationError: there is no secret.
    """
    newest, all_of_them = SecretBox(secret_keys[:1], PURPOSE), SecretBox(secret_keys, PURPOSE)
    rotated = current = 0
    unreadable = []
    with database.write(alone=True) as session:
        rows = session.execute(
            select(ProviderKey, Provider.name)
            .join(Provider, Provider.id == ProviderKey.provider_id)
            .order_by(Provider.name, ProviderKey.created_at, ProviderKey.id)
        ).all()
        for row, name in rows:
            if _read(newest, row) is not None:
                current += 1
                continue
            secret = _read(all_of_them, row)
            if secret is None:
                unreadable.append(_view(row, name))
                continue
            row.encrypted = newest.seal(secret)
            rotated += 1
        if rotated:
            raise_version(session)
    return Rotation(rotated=rotated, current=current, unreadable=tuple(unreadable))


def _by_label(session: Session, owner: Provider, label: str) -> ProviderKey | None:
    rows = session.scalars(select(ProviderKey).where(ProviderKey.provider_id == owner.id))
    return next((row for row in rows if row.label == label), None)


def _insert(
    session: Session, box: SecretBox, owner: Provider, label: str, secret: str
) -> ProviderKeyView:
    row = new_key(box, owner.id, label, secret)
    session.add(row)
    session.flush()
    raise_version(session)
    return _view(row, owner.name)


def _holds(box: SecretBox, row: ProviderKey, secret: str) -> bool:
    return _read(box, row) == secret


def _read(box: SecretBox, row: ProviderKey) -> str | None:
    try:
        return box.open(row.encrypted)
    except ConfigurationError:
        return None


def _view(row: ProviderKey, provider: str) -> ProviderKeyView:
    return ProviderKeyView(id=row.id, provider=provider, label=row.label, created_at=row.created_at)
