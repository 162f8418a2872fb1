"""Organisations, users and projects, and the balances that come with them."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.auth.passwords import hash_password
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Balance, Membership, Organisation, Project, User
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest, NotFound
from torana.ledger.accounts import new_account

DEFAULT_NAME = "default"
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
"""Enough to catch what is no address; whether it is one, only a message to it can tell."""
_EMAIL_LIMIT = 320
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
ROLES = ("owner", "admin", "member", "viewer", "billing")


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
        organisation = default_organisation(session)
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


class ProjectView(msgspec.Struct, frozen=True):
    """A project as it is listed."""

    id: str
    name: str
    organisation_id: str
    created_at: datetime


def create_project(
    database: Database, *, name: str, organisation_id: str | None = None
) -> ProjectView:
    """Add a project with its account.

    Args:
        database: where.
        name: unique in its organisation.
        organisation_id: the default organisation if left out.

    Raises:
        InvalidRequest: the name is not usable.
        Conflict: the name is taken.
    """
    name = name.strip()
    if not _PROJECT.fullmatch(name) or name.startswith("proj_"):
        raise InvalidRequest(
            "A project's name has up to 63 letters, digits, '-', '_' and '.', and begins with a "
            "letter or a digit, and not with 'proj_'.",
            param="name",
        )
    with database.write(alone=True) as session:
        home = organisation_id or default_organisation(session).id
        taken = select(Project.id).where(Project.organisation_id == home, Project.name == name)
        if session.scalar(taken) is not None:
            raise Conflict(f"A project {name!r} exists already.")
        project = Project(id=new_id("proj"), organisation_id=home, name=name, created_at=utc_now())
        session.add(project)
        session.add(new_balance("project", project.id))
        return _project_view(project)


def list_projects(database: Database, *, organisation_id: str | None = None) -> list[ProjectView]:
    """The projects of an organisation, or all, by name."""
    with database.read() as session:
        query = select(Project).order_by(Project.name, Project.id)
        if organisation_id is not None:
            query = query.where(Project.organisation_id == organisation_id)
        return [_project_view(row) for row in session.scalars(query)]


def find_project(session: Session, name: str, *, organisation_id: str | None = None) -> Project:
    """The project of a name or id.

    Args:
        session: of a transaction.
        name: the project's name or id.
        organisation_id: only look there.

    Raises:
        NotFound: there is none; the message says which there are.
        Conflict: several organisations have one of that name.
    """
    known = select(Project)
    if organisation_id is not None:
        known = known.where(Project.organisation_id == organisation_id)
    found = session.scalars(known.where((Project.name == name) | (Project.id == name))).all()
    if not found:
        names = ", ".join(row.name for row in session.scalars(known.order_by(Project.name)))
        raise NotFound(f"There is no project {name!r}.", hint=f"There is: {names or 'none yet'}.")
    if len(found) > 1:
        ids = ", ".join(sorted(row.id for row in found))
        raise Conflict(f"Several projects are called {name!r}.", hint=f"Use an id: {ids}.")
    return found[0]


def new_balance(scope_kind: str, scope_id: str) -> Balance:
    """The account that every scope has: its balance over all time."""
    return new_account(scope_kind, scope_id)


def default_organisation(session: Session) -> Organisation:
    """The organisation that commands work in unless they name another.

    Raises:
        NotFound: there is none yet.
    """
    organisation = session.scalar(select(Organisation).order_by(Organisation.created_at).limit(1))
    if organisation is None:
        raise NotFound("There is no organisation yet.", hint="Run `torana db upgrade` first.")
    return organisation


def _project_view(row: Project) -> ProjectView:
    return ProjectView(row.id, row.name, row.organisation_id, row.created_at)
