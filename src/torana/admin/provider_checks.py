"""Whether a provider can be reached and takes its keys, asked now and from this process."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from pydantic import SecretStr
from sqlalchemy import select

from torana import providers
from torana.admin.allowed_hosts import read_allowed_hosts
from torana.admin.builtin import builtin_providers
from torana.admin.configuration import Secrets, config_of
from torana.admin.providers import find_row
from torana.db.models import ProviderKey
from torana.db.session import Database
from torana.errors import NotFound
from torana.outbound.client import HttpClient
from torana.providers import ProviderConfig
from torana.settings import Settings


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider answered with one of its keys.

    Attributes:
        key: the key's label; None without one, or of a key that comes from the settings.
        ok: it was reached, and took the key.
        milliseconds: until the answer was read, or the failure known.
        status: the HTTP status; None when there was no answer.
        error_code, message: what is wrong, when it is not well.
        models: names that it tells; None when it tells none.
    """

    key: str | None
    ok: bool
    milliseconds: int
    status: int | None
    error_code: str | None
    message: str | None
    models: list[str] | None


def check_provider(
    database: Database,
    settings: Settings,
    secret_keys: Sequence[SecretStr],
    name: str,
    *,
    each_key: bool = False,
) -> list[Check]:
    """Ask a provider for its models, a disabled one too. Each question takes ten seconds at most.

    Args:
        database: added providers are there.
        settings: the built-in ones come from them.
        secret_keys: of the installation, newest first.
        name: of the provider.
        each_key: ask with each of its keys, not with one as a call would.

    Raises:
        NotFound: there is no such provider.
        ConfigurationError: none of its keys can be read.
    """
    config, labels = _config(database, settings, secret_keys, name)
    provider = providers.build(config)
    ids: list[str | None] = [key.id for key in config.keys] if each_key else []
    http = HttpClient()
    try:
        checks = []
        for key_id in ids or [None]:
            found = provider.check(http, key_id=key_id)
            checks.append(
                Check(
                    key=None if key_id is None else labels.get(key_id),
                    ok=found.ok,
                    milliseconds=found.milliseconds,
                    status=found.status,
                    error_code=found.error_code,
                    message=found.message,
                    models=None if found.models is None else list(found.models),
                )
            )
        return checks
    finally:
        http.close()


def _config(
    database: Database, settings: Settings, secret_keys: Sequence[SecretStr], name: str
) -> tuple[ProviderConfig, dict[str, str]]:
    """A provider as it would be called, and the labels of its keys by their ids."""
    for config in builtin_providers(settings):
        if config.name == name:
            return config, {}
    with database.read() as session:
        row = find_row(session, name)
        if row is None:
            raise NotFound(f"There is no provider {name[:64]!r}.", param="provider")
        keys = session.scalars(
            select(ProviderKey)
            .where(ProviderKey.provider_id == row.id)
            .order_by(ProviderKey.created_at, ProviderKey.id)
        ).all()
        hosts = read_allowed_hosts(session)
        credentials = Secrets(secret_keys).credentials(
            name, [(key.id, key.encrypted) for key in keys]
        )
        return config_of(row, credentials, hosts), {key.id: key.label for key in keys}
