"""What may be called: providers, routes to their models, versioned prices."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from torana.db.models.base import Base, Id, JsonColumn, Name, Nano, When


class Provider(Base):
    """An upstream.

    Attributes:
        preset: the name of the preset that it was made from, if it was.
        options: a `torana.providers.base.ProviderOptions` as JSON.
    """

    __tablename__ = "providers"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    base_url: Mapped[str] = mapped_column(Text)
    preset: Mapped[str | None] = mapped_column(String(32))
    options: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    enabled: Mapped[bool]
    created_at: Mapped[When]
    updated_at: Mapped[When]


class ProviderKey(Base):
    """A credential of a provider, encrypted with a key derived from `TORANA_SECRET_KEYS`.

    Attributes:
        label: what people call it; a provider's labels differ.
    """

    __tablename__ = "provider_keys"
    __table_args__ = (UniqueConstraint("provider_id", "label"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    provider_id: Mapped[Id] = mapped_column(ForeignKey("providers.id"), index=True)
    label: Mapped[str] = mapped_column(String(64))
    encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[When]


class AllowedHost(Base):
    """A host that providers may be at although its address is private."""

    __tablename__ = "allowed_hosts"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    created_at: Mapped[When]


class ModelRoute(Base):
    """A name that callers may ask for.

    Attributes:
        terms: a `torana.routing.routes.Route` as JSON.
    """

    __tablename__ = "model_routes"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    terms: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    enabled: Mapped[bool]
    created_at: Mapped[When]
    updated_at: Mapped[When]


class Guardrail(Base):
    """What is done to prompts and answers of some models.

    Attributes:
        kind: the name of a built-in guard or of a plugin.
        terms: a `torana.guardrails.terms.GuardrailTerms` as JSON.
    """

    __tablename__ = "guardrails"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(64))
    terms: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    enabled: Mapped[bool]
    created_at: Mapped[When]
    updated_at: Mapped[When]


class PriceVersion(Base):
    """A model's price from an instant on. Rows are never changed; a new price is a new row.

    Attributes:
        rates: a `torana.core.money.PriceTerms` as JSON, in nano-dollars per million units.
        source: who says so: `builtin`, `list` (the shipped price list) or `operator`.
    """

    __tablename__ = "prices"
    __table_args__ = (Index(None, "provider", "model", "valid_from"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[Name]
    valid_from: Mapped[When]
    rates: Mapped[dict[str, Any]] = mapped_column(JsonColumn)
    source: Mapped[str] = mapped_column(String(16))


class SuspendedTarget(Base):
    """A provider's model that reported more than its stated bound: closed to hard budgets."""

    __tablename__ = "suspended_targets"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[Name] = mapped_column(primary_key=True)
    call_id: Mapped[Id]
    bound_nano: Mapped[Nano]
    cost_nano: Mapped[Nano]
    suspended_at: Mapped[When]


class ConfigVersion(Base):
    """One row, raised by the transaction of every change: it tells processes they are stale."""

    __tablename__ = "config_version"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)
