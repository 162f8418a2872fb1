"""Organisations, users and projects, and the balances that come with them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.auth.passwords import hash_password
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Balance, Membership, Organisation, Project, User
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest, NotFound

DEFAULT_NAME = "default"
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
"""Enough to catch what is no address; whether it is one, only a message to it can tell."""
_EMAIL_LIMIT = 320
ROLES = ("owner", "admin", "member", "viewer", "billing")
ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of the window that never ends."""


class UserView(msgspec.Struct, frozen=True):
    """A user as others see it."""

    id: str
    email: str
    role: str
    created_at: datetime


def ensure_defaults(database: Database) -> bool:
    """Make the organisation and the project `default` unless an organisation exists.

    Returns:
        Whether they were made now.
    """
    with database.write(alone=True) as session:
        if session.scalar(select(Organisation.id).limit(1)) is not None:
            return False
        organisation = Organisation(id=new_id("org"), name=DEFAULT_NAME, created_at=utc_now())
        session.add(organisation)
        session.flush()
        session.add(new_balance("organisation", organisation.id))
        project = Project(
            id=new_id("proj"),
            organisation_id=organisation.id,
            name=DEFAULT_NAME,
            created_at=utc_now(),
        )
        session.add(project)
        session.add(new_balance("project", project.id))
        return True


def create_user(database: Database, *, email: str, password: str, role: str) -> UserView:
    """Add a person to the default organisation.

    Raises:
        InvalidRequest: the address, the password or the role is not usable.
        Conflict: the address is taken.
        NotFound: there is no organisation yet.
    """
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email) or len(email) > _EMAIL_LIMIT:
        raise InvalidRequest(f"{email!r} is not an e-mail address.", param="email")
    if role not in ROLES:
        raise InvalidRequest(f"A role is one of {', '.join(ROLES)}.", param="role")
    password_hash = hash_password(password)
    with database.write(alone=True) as session:
        if session.scalar(select(User.id).where(User.email == email)) is not None:
            raise Conflict(f"A user with the address {email} exists already.")
        organisation = _default_organisation(session)
        now = utc_now()
        user = User(
            id=new_id("user"),
            email=email,
            password_hash=password_hash,
            is_instance_admin=role in {"owner", "admin"},
            created_at=now,
        )
        session.add(user)
        session.flush()
        membership = Membership(
            id=new_id("mem"),
            organisation_id=organisation.id,
            user_id=user.id,
            role=role,
            created_at=now,
        )
        session.add(membership)
        session.add(new_balance("user", membership.id))
        return UserView(user.id, email, role, now)


def list_users(database: Database) -> list[UserView]:
    """All users with their role, by address."""
    with database.read() as session:
        rows = session.execute(
            select(User, Membership.role)
            .join(Membership, Membership.user_id == User.id)
            .order_by(User.email)
        ).all()
        return [UserView(user.id, user.email, role, user.created_at) for user, role in rows]


def find_project(session: Session, name: str) -> Project:
    """The project of a name or id.

    Raises:
        NotFound: there is none; the message says which there are.
    """
    project = session.scalar(select(Project).where((Project.name == name) | (Project.id == name)))
    if project is None:
        known = ", ".join(session.scalars(select(Project.name).order_by(Project.name)).all())
        raise NotFound(f"There is no project {name!r}.", hint=f"There is: {known or 'none yet'}.")
    return project


def new_balance(scope_kind: str, scope_id: str) -> Balance:
    """The balance over all time that every scope has."""
    return Balance(
        id=new_id("bal"),
        scope_kind=scope_kind,
        scope_id=scope_id,
        window_start=ALL_TIME,
        window_end=None,
        limit_nano=None,
        spent_nano=0,
        reserved_nano=0,
        open_calls=0,
        blocked=None,
    )


def _default_organisation(session: Session) -> Organisation:
    organisation = session.scalar(select(Organisation).order_by(Organisation.created_at).limit(1))
    if organisation is None:
        raise NotFound("There is no organisation yet.", hint="Run `torana db upgrade` first.")
    return organisation
