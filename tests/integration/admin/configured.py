"""A configuration over a database, and what is put into that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from pydantic import SecretStr
from sqlalchemy import delete, update

from torana.admin.config_version import raise_version
from torana.admin.configuration import Configuration
from torana.admin.providers import PURPOSE, add_provider
from torana.core.ids import new_id
from torana.db.models import ModelRoute, Provider, ProviderKey
from torana.db.session import Database
from torana.routing.routes import single
from torana.secret_box import SecretBox
from torana.settings import Settings

OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)
URL = "https://api.example.test/v1"


def settings(**values: Any) -> Settings:
    fields = {"secret_keys": (NEW, OLD), "openai_api_key": None} | values
    return Settings(_env_file=None, **fields)


def emptied(database: Database) -> Database:
    """The database without providers and routes."""
    with database.write() as session:
        session.execute(delete(ModelRoute))
        session.execute(delete(ProviderKey))
        session.execute(delete(Provider))
        raise_version(session)
    return database


def configured(database: Database, **values: Any) -> Configuration:
    made = Configuration(settings(**values), database)
    made.refresh()
    return made


def add(database: Database, name: str, api_key: str | None = None, key: SecretStr = NEW) -> None:
    box = SecretBox([key], PURPOSE)
    add_provider(database, box, name=name, base_url=URL, api_key=api_key)


def add_route(database: Database, provider: str, name: str = "small", **changes: Any) -> None:
    fields: dict[str, Any] = {
        "id": new_id("route"),
        "name": name,
        "terms": msgspec.to_builtins(single(name, provider, "small-7b", max_output=512)),
        "enabled": True,
        "created_at": datetime.now(UTC),
        "updated_at": datetime.now(UTC),
    }
    with database.write() as session:
        session.add(ModelRoute(**(fields | changes)))
        raise_version(session)


def names(configuration: Configuration) -> list[str]:
    return list(configuration.present().catalog.providers)


def change(database: Database, **values: Any) -> None:
    with database.write() as session:
        session.execute(update(Provider).values(**values))
        raise_version(session)
