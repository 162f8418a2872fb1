"""The configuration of a process: a snapshot of settings and rows, replaced when it is stale.

A call sees one snapshot. Every second the version row is compared, so a change reaches all
processes within a second, and a database that is away leaves the last snapshot in force.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana import providers
from torana.admin.allowed_hosts import host_of, read_allowed_hosts
from torana.admin.builtin import builtin_providers, builtin_routes
from torana.admin.guardrails import guardrail_rows
from torana.admin.price_list import model_list, shipped
from torana.admin.providers import PURPOSE
from torana.db.models import ConfigVersion, ModelRoute, ProviderKey, SuspendedTarget
from torana.db.models import Provider as ProviderRow
from torana.db.session import Database
from torana.errors import ConfigurationError, InvalidRequest, LedgerUnavailable
from torana.guardrails.guarded import build_guardrails
from torana.ledger.locking import database_now
from torana.ledger.prices import current_prices, next_change
from torana.providers import Provider, ProviderConfig
from torana.providers.options import Credential, ProviderOptions
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry
from torana.routing.routes import Route
from torana.secret_box import SecretBox
from torana.settings import Settings

logger = logging.getLogger("torana.configuration")

REFRESH_SECONDS = 1.0
Sealed = tuple[str, bytes]
"""A key's id, and the key as its row has it."""
_CLAIMS = {
    "openai": (
        r"gpt-.*|chatgpt-.*|o[0-9].*|text-embedding-.*|dall-e-.*|whisper-.*|tts-.*"
        r"|omni-moderation-.*|text-moderation-.*"
    ),
    "anthropic": r"claude-.*",
}
"""Bare model names that go to a built-in provider."""


class Configuration:
    """Holds the present snapshot.

    Args:
        settings: the built-in providers come from them.
        database: added providers, routes and prices come from it.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._version: int | None = None
        self._prices_until: datetime | None = None
        self._secrets = Secrets(settings.secret_keys)
        self._built: dict[ProviderConfig, Provider] = {}
        self._present = Upstreams(Catalog(providers={}, routes={}, prices={}), {})

    def present(self) -> Upstreams:
        """The snapshot in force.

        Raises:
            LedgerUnavailable: the database was away since this process started, so there is none.
        """
        if self._version is None:
            raise LedgerUnavailable("The configuration is not loaded yet.", retry_after=1)
        return self._present

    def refresh(self) -> bool:
        """Replace the snapshot if the configuration has changed, or an announced price begins.

        Returns:
            Whether it was replaced.

        Raises:
            LedgerUnavailable: the database is away; the snapshot stays.
        """
        with self._database.read() as session:
            version = session.scalar(select(ConfigVersion.version))
            until = self._prices_until
            if version == self._version and until is None:
                return False  # Nothing is announced, so the time says nothing new.
            now = database_now(session)
            if version == self._version and until is not None and now < until:
                return False
            prices = current_prices(session, now)
            prices_until = next_change(session, now)
            suspended = session.execute(select(SuspendedTarget.provider, SuspendedTarget.model))
            configs = [*builtin_providers(self._settings), *self._added(session)]
            known = {config.name for config in configs}
            listed = shipped().names & known
            catalog = Catalog(
                providers={config.name: _entry(config) for config in configs},
                routes=builtin_routes(self._settings) | _routes(session, known),
                prices={key: price for key, price in prices.items() if key[0] in known},
                lists={name: model_list(name) for name in listed},
                suspended=frozenset((row.provider, row.model) for row in suspended),
            )
            guardrails = build_guardrails(guardrail_rows(session))
        # A provider that has not changed is kept: `echo` has a server behind it.
        self._built = {
            config: self._built.get(config) or providers.build(config) for config in configs
        }
        self._present = Upstreams(
            catalog, {config.name: built for config, built in self._built.items()}, guardrails
        )
        self._version = version
        self._prices_until = prices_until
        for name, reason in guardrails.broken.items():
            logger.error("guardrail.unusable", extra={"guardrail": name, "reason": reason})
        logger.info("configuration.refreshed", extra={"version": version})
        return True

    def _added(self, session: Session) -> list[ProviderConfig]:
        """What can be called of the providers that have rows."""
        hosts = read_allowed_hosts(session)
        keys: dict[str, list[Sealed]] = {}
        query = select(ProviderKey.id, ProviderKey.provider_id, ProviderKey.encrypted)
        for id_, provider_id, encrypted in session.execute(
            query.order_by(ProviderKey.created_at, ProviderKey.id)
        ):
            keys.setdefault(provider_id, []).append((id_, encrypted))
        configs = []
        for row in session.scalars(select(ProviderRow).where(ProviderRow.enabled)):
            try:
                credentials = self._secrets.credentials(row.name, keys.get(row.id, ()))
                configs.append(config_of(row, credentials, hosts))
            except ConfigurationError as error:
                logger.error(  # noqa: TRY400 -- the message says it all
                    "provider.unusable", extra={"provider": row.name, "reason": error.message}
                )
        self._secrets.forget_all_but({id_ for sealed in keys.values() for id_, _ in sealed})
        return configs


class Secrets:
    """The keys of providers, each decrypted once: its secret never changes under its id.

    Args:
        secret_keys: of the installation, newest first.
    """

    def __init__(self, secret_keys: Sequence[SecretStr]) -> None:
        self._secret_keys = secret_keys
        self._box: SecretBox | None = None
        self._opened: dict[str, Credential] = {}

    def credentials(self, provider: str, sealed: Sequence[Sealed]) -> tuple[Credential, ...]:
        """The keys of a provider that can be read.

        Raises:
            ConfigurationError: it has keys, and none of them can be.
        """
        found = []
        problem = None
        for id_, encrypted in sealed:
            try:
                found.append(self._opened.get(id_) or self._open(id_, encrypted))
            except ConfigurationError as error:
                problem = error
                logger.error(  # noqa: TRY400 -- the message says it all
                    "provider.key_unusable",
                    extra={"provider": provider, "key_id": id_, "reason": error.message},
                )
        if problem is not None and not found:
            raise problem
        return tuple(found)

    def forget_all_but(self, ids: AbstractSet[str]) -> None:
        """Keep no secret of a key that is gone."""
        self._opened = {id_: key for id_, key in self._opened.items() if id_ in ids}

    def _open(self, id_: str, encrypted: bytes) -> Credential:
        if self._box is None:
            self._box = SecretBox(self._secret_keys, PURPOSE)
        opened = self._opened[id_] = Credential(id=id_, secret=self._box.open(encrypted))
        return opened


def config_of(
    row: ProviderRow, credentials: tuple[Credential, ...], hosts: AbstractSet[str]
) -> ProviderConfig:
    """A provider's row as its code takes it.

    Args:
        row: of the provider.
        credentials: its keys.
        hosts: which private ones are allowed.

    Raises:
        ConfigurationError: another version has written it.
    """
    if row.kind not in providers.KINDS:
        raise ConfigurationError(f"This version does not know providers of the kind {row.kind!r}.")
    try:
        options = msgspec.convert(row.options, ProviderOptions)
        host = host_of(row.base_url)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"This version can't read its options: {error}.") from error
    except InvalidRequest as error:
        raise ConfigurationError(f"Its base URL is not usable: {error.message}") from error
    return ProviderConfig(
        name=row.name,
        kind=row.kind,
        base_url=row.base_url,
        keys=credentials,
        options=options,
        private=host in hosts,
    )


def _entry(config: ProviderConfig) -> ProviderEntry:
    return ProviderEntry(
        name=config.name,
        kind=config.kind,
        claims=_CLAIMS.get(config.name),
    )


def _routes(session: Session, known: AbstractSet[str]) -> dict[str, Route]:
    """The routes of rows, with the targets whose provider is there."""
    query = select(ModelRoute.name, ModelRoute.terms).where(ModelRoute.enabled)
    routes = {}
    for name, terms in session.execute(query.order_by(ModelRoute.name)):
        try:
            route = msgspec.convert(terms, Route)
        except msgspec.ValidationError as error:
            logger.error(  # noqa: TRY400 -- the message says it all
                "route.unusable", extra={"route": name, "reason": str(error)}
            )
            continue
        targets = tuple(target for target in route.targets if target.provider in known)
        if targets:
            routes[name] = msgspec.structs.replace(route, targets=targets)
    return routes
