"""The configuration of a process: a snapshot of settings and rows, replaced when it is stale.

A call sees one snapshot. Every second the version row is compared, so a change reaches all
processes within a second, and a database that is away leaves the last snapshot in force.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from torana import providers
from torana.admin.price_list import model_list
from torana.admin.providers import ECHO_MODEL, LOCAL_CONTEXT, LOCAL_MODEL, PURPOSE
from torana.db.models import ConfigVersion, ModelRoute, SuspendedTarget
from torana.db.models import Provider as ProviderRow
from torana.db.session import Database
from torana.errors import ConfigurationError, LedgerUnavailable
from torana.ledger.locking import database_now
from torana.ledger.prices import current_prices, next_change
from torana.providers import Provider, ProviderConfig
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry, Route
from torana.secret_box import SecretBox
from torana.settings import Settings

logger = logging.getLogger("torana.configuration")

REFRESH_SECONDS = 1.0
_CLAIMS = {
    "openai": r"gpt-.*|chatgpt-.*|o[0-9].*|text-embedding-.*",
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
            rows = session.scalars(select(ProviderRow).where(ProviderRow.enabled)).all()
            routes = session.scalars(select(ModelRoute).where(ModelRoute.enabled)).all()
            names = {row.id: row.name for row in rows}
            prices = current_prices(session, now)
            prices_until = next_change(session, now)
            suspended = session.execute(select(SuspendedTarget.provider, SuspendedTarget.model))
            configs = [*_builtin(self._settings), *self._added(rows)]
            known = {config.name for config in configs}
            catalog = Catalog(
                providers={config.name: _entry(config) for config in configs},
                routes=_builtin_routes(known)
                | {
                    route.name: Route(
                        name=route.name,
                        provider=names[route.provider_id],
                        model=route.target_model,
                        max_output=route.max_output_tokens,
                    )
                    for route in routes
                    if names.get(route.provider_id) in known
                },
                prices={key: price for key, price in prices.items() if key[0] in known},
                lists={name: model_list(name) for name in known},
                suspended=frozenset((row.provider, row.model) for row in suspended),
            )
        # A provider that has not changed is kept: `echo` has a server behind it.
        self._built = {
            config: self._built.get(config) or providers.build(config) for config in configs
        }
        self._present = Upstreams(
            catalog, {config.name: built for config, built in self._built.items()}
        )
        self._version = version
        self._prices_until = prices_until
        logger.info("configuration.refreshed", extra={"version": version})
        return True

    def _added(self, rows: Iterable[ProviderRow]) -> list[ProviderConfig]:
        configs = []
        for row in rows:
            try:
                configs.append(_config(row, self._settings))
            except ConfigurationError as error:
                logger.error(  # noqa: TRY400 -- the message says it all
                    "provider.unusable", extra={"provider": row.name, "reason": error.message}
                )
        return configs


def _config(row: ProviderRow, settings: Settings) -> ProviderConfig:
    if row.kind not in providers.KINDS:
        raise ConfigurationError(f"This version does not know providers of the kind {row.kind!r}.")
    key = None
    if row.api_key_encrypted is not None:
        key = SecretBox(settings.secret_keys, PURPOSE).open(row.api_key_encrypted)
    return ProviderConfig(name=row.name, kind=row.kind, base_url=row.base_url, api_key=key)


def _builtin(settings: Settings) -> list[ProviderConfig]:
    """The providers that come from settings alone."""
    configs = []
    if settings.openai_api_key is not None:
        configs.append(
            ProviderConfig(
                name="openai",
                kind="openai",
                base_url=settings.openai_base_url,
                api_key=settings.openai_api_key.get_secret_value(),
            )
        )
    if settings.anthropic_api_key is not None:
        configs.append(
            ProviderConfig(
                name="anthropic",
                kind="anthropic",
                base_url=settings.anthropic_base_url,
                api_key=settings.anthropic_api_key.get_secret_value(),
            )
        )
    if settings.local_model_url is not None:
        key = settings.local_model_key
        configs.append(
            ProviderConfig(
                name="local",
                kind="local",
                base_url=settings.local_model_url,
                api_key=key.get_secret_value() if key is not None else None,
                rewrites_model=True,
                keeps_alive=False,
            )
        )
    if settings.echo:
        configs.append(ProviderConfig(name="echo", kind="echo", base_url="echo:"))
    return configs


def _entry(config: ProviderConfig) -> ProviderEntry:
    return ProviderEntry(
        name=config.name,
        kind=config.kind,
        claims=_CLAIMS.get(config.name),
    )


def _builtin_routes(names: set[str]) -> dict[str, Route]:
    routes = {}
    if "local" in names:
        routes[LOCAL_MODEL] = Route(
            name=LOCAL_MODEL, provider="local", model=LOCAL_MODEL, max_output=LOCAL_CONTEXT
        )
    if "echo" in names:
        routes[ECHO_MODEL] = Route(name=ECHO_MODEL, provider="echo", model=ECHO_MODEL)
    return routes
