"""From an empty database to one that serves: schema, defaults, the first administrator.

Only commands import this: it brings Alembic along.
"""

from __future__ import annotations

import secrets

import msgspec

from torana.admin.keys import create_key
from torana.admin.prices import seed_prices
from torana.admin.tenancy import DEFAULT_NAME, create_user, ensure_defaults, list_users
from torana.db import migrate
from torana.db.session import Database

ADMIN_EMAIL = "admin@localhost"
FIRST_KEY_NAME = "first"


class Prepared(msgspec.Struct, frozen=True):
    """What `prepare` did: the revision before and now, and whether the defaults were made."""

    before: str | None
    now: str
    created_defaults: bool


class FirstLogin(msgspec.Struct, frozen=True):
    """The secrets of a first start, to be shown once."""

    email: str
    password: str
    api_key: str

    def __repr__(self) -> str:
        return f"FirstLogin(email={self.email!r})"


def prepare(database: Database) -> Prepared:
    """Bring the database to this version's schema and make what is missing; idempotent."""
    before, now = migrate.upgrade(database)
    made = ensure_defaults(database)
    seed_prices(database)
    return Prepared(before, now, made)


def first_login(database: Database) -> FirstLogin | None:
    """Make the first administrator and an API key of theirs, unless there is a user already."""
    if list_users(database):
        return None
    password = secrets.token_urlsafe(18)
    user = create_user(database, email=ADMIN_EMAIL, password=password, role="admin")
    made = create_key(database, project=DEFAULT_NAME, name=FIRST_KEY_NAME, owner_email=user.email)
    return FirstLogin(user.email, password, made.key)
