"""Who may call: organisations, users, memberships, projects, API keys."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from torana.db.models.base import Base, Id, JsonColumn, MaybeWhen, Name, When


class Organisation(Base):
    """A tenant: what is in one is never seen from another."""

    __tablename__ = "organisations"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(unique=True)
    created_at: Mapped[When]


class User(Base):
    """A person. The password is an argon2id hash, or absent for people who sign in elsewhere."""

    __tablename__ = "users"

    id: Mapped[Id] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    is_instance_admin: Mapped[bool]
    created_at: Mapped[When]
    disabled_at: Mapped[MaybeWhen]


class Membership(Base):
    """A user's role in an organisation."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("organisation_id", "user_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organisation_id: Mapped[Id] = mapped_column(ForeignKey("organisations.id"))
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[When]


class Project(Base):
    """Where keys live and money is counted."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    organisation_id: Mapped[Id] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[Name]
    created_at: Mapped[When]


class ApiKey(Base):
    """A credential for programs. Only its SHA-256 is stored: the key has 256 bits of randomness."""

    __tablename__ = "api_keys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    project_id: Mapped[Id] = mapped_column(ForeignKey("projects.id"), index=True)
    membership_id: Mapped[str | None] = mapped_column(ForeignKey("memberships.id"))
    name: Mapped[Name]
    prefix: Mapped[str] = mapped_column(String(20))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    models: Mapped[list[str] | None] = mapped_column(JsonColumn)
    role: Mapped[str] = mapped_column(String(16), server_default="caller")
    cache_seconds: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[When]
    expires_at: Mapped[MaybeWhen]
    revoked_at: Mapped[MaybeWhen]
