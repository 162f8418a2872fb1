"""API keys: create, list, revoke, and the short-lived one that `up` asks itself with."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from torana.admin import scopes
from torana.admin.budgets import MACHINE, add_budget
from torana.admin.editing import log_change
from torana.admin.limits import LimitsChange, changed_limits
from torana.admin.scopes import Scope
from torana.admin.tenancy import find_project, new_balance
from torana.auth import api_keys
from torana.auth.policy import KEY_ROLES
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import ApiKey, Balance, Membership, Project, User
from torana.db.session import Database
from torana.errors import InvalidRequest, NotFound
from torana.ledger.terms import BudgetTerms, Terms, write_terms
from torana.routing.routes import MOST_CACHE_SECONDS

SELF_CHECK = scopes.SELF_CHECK
_SELF_CHECK_LIFE = timedelta(minutes=2)
_NAME_LIMIT = 200


class CreatedKey(msgspec.Struct, frozen=True):
    """A key just made; `key` is shown this once."""

    id: str
    key: str

    def __repr__(self) -> str:
        return f"CreatedKey(id={self.id!r})"


class KeyView(msgspec.Struct, frozen=True):
    """A key as it is listed: never the key itself."""

    id: str
    name: str
    prefix: str
    project: str
    models: list[str] | None
    role: str
    cache_seconds: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create_key(
    database: Database,
    *,
    project: str,
    name: str,
    models: list[str] | None = None,
    owner_email: str | None = None,
    role: str = "caller",
    limits: LimitsChange | None = None,
    budget: BudgetTerms | None = None,
    cache_seconds: int | None = None,
    actor: str = MACHINE,
) -> CreatedKey:
    """Make a key together with its limits and its budget: it never calls without them.

    Args:
        database: where.
        project: name or id of its project.
        name: for people.
        models: names it may ask for, None for all; `gpt-4o*` stands for all that begin so.
        owner_email: the user on whose account it also counts; None for a program's own key.
        role: `caller`, or `admin` for one that may manage its organisation.
        limits: requests and tokens a minute, open calls.
        budget: what it may spend.
        cache_seconds: how long answers to its calls are kept; 0 keeps none, None is as the model's
            route says.
        actor: who does it, for the log.

    Raises:
        NotFound: no such project or user.
        InvalidRequest: the name, the role, a limit or the budget makes no sense.
    """
    if role not in KEY_ROLES:
        raise InvalidRequest(f"A key's role is one of {', '.join(KEY_ROLES)}.", param="role")
    if not name.strip() or len(name) > _NAME_LIMIT:
        raise InvalidRequest(f"A key's name has 1 to {_NAME_LIMIT} characters.", param="name")
    if name.strip() == SELF_CHECK:
        raise InvalidRequest(f"The name {SELF_CHECK!r} is Torana's own.", param="name")
    if cache_seconds is not None and not 0 <= cache_seconds <= MOST_CACHE_SECONDS:
        raise InvalidRequest(
            f"Answers are kept for 0 to {MOST_CACHE_SECONDS} seconds.", param="cache_seconds"
        )
    with database.write() as session:
        home = find_project(session, project)
        membership = _membership(session, home, owner_email) if owner_email else None
        made = api_keys.generate()
        row = _row(home, name, made)
        row.models = models
        row.role = role
        row.cache_seconds = cache_seconds
        row.membership_id = membership.id if membership is not None else None
        session.add(row)
        account = new_balance("key", row.id)
        allowed = tuple(models) if models is not None else None
        own = msgspec.structs.replace(limits or LimitsChange(), models=allowed)
        account.terms = write_terms(changed_limits(Terms(), own))
        session.add(account)
        scope = Scope(kind="key", id=row.id, organisation_id=home.organisation_id)
        if budget is not None:
            add_budget(session, scope, [account], budget)
    log_change("key.created", actor, row.id, scope)
    return CreatedKey(row.id, made.text)


def list_keys(database: Database, *, project: str | None = None) -> list[KeyView]:
    """All keys, or those of a project, oldest first.

    Raises:
        NotFound: no such project.
    """
    with database.read() as session:
        query = select(ApiKey, Project.name).join(Project, Project.id == ApiKey.project_id)
        if project is not None:
            query = query.where(ApiKey.project_id == find_project(session, project).id)
        rows = session.execute(query.where(ApiKey.name != SELF_CHECK).order_by(ApiKey.created_at))
        return [_view(key, project_name) for key, project_name in rows.all()]


def revoke_key(database: Database, key_id: str, *, actor: str = MACHINE) -> KeyView:
    """Revoke a key; the next transaction of the ledger on any process refuses its calls.

    Revoking a revoked key changes nothing.

    Args:
        database: where.
        key_id: the key's id.
        actor: who does it, for the log.

    Raises:
        NotFound: no such key.
    """
    with database.write() as session:
        key = session.get(ApiKey, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id!r}.", hint="`torana keys list` shows the ids.")
        if key.revoked_at is None:
            key.revoked_at = utc_now()
            session.execute(
                update(Balance)
                .where(
                    Balance.scope_kind == "key",
                    Balance.scope_id == key.id,
                    Balance.budget_id == "",
                )
                .values(blocked="revoked")
            )
        project = session.get_one(Project, key.project_id)
        view = _view(key, project.name)
        scope = Scope(kind="key", id=key.id, organisation_id=project.organisation_id)
    log_change("key.revoked", actor, view.id, scope)
    return view


def renew_self_check_key(database: Database, *, project: str) -> str:
    """A new secret, good for two minutes, for the one key that `torana up` asks itself with."""
    with database.write() as session:
        home = find_project(session, project)
        made = api_keys.generate()
        row = session.scalar(
            select(ApiKey).where(ApiKey.project_id == home.id, ApiKey.name == SELF_CHECK)
        )
        if row is None:
            row = _row(home, SELF_CHECK, made)
            session.add(row)
            session.add(new_balance("key", row.id))
        row.key_hash = made.digest
        row.prefix = made.display
        row.expires_at = utc_now() + _SELF_CHECK_LIFE
        return made.text


def end_self_check_key(database: Database) -> None:
    """End the self-check key's life now."""
    with database.write() as session:
        session.execute(
            update(ApiKey).where(ApiKey.name == SELF_CHECK).values(expires_at=utc_now())
        )


def _row(project: Project, name: str, made: api_keys.NewKey) -> ApiKey:
    return ApiKey(
        id=new_id("key"),
        project_id=project.id,
        name=name,
        prefix=made.display,
        key_hash=made.digest,
        role="caller",
        created_at=utc_now(),
    )


def _membership(session: Session, project: Project, email: str) -> Membership:
    membership = session.scalar(
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .where(Membership.organisation_id == project.organisation_id, User.email == email.lower())
    )
    if membership is None:
        raise NotFound(f"No user {email!r} belongs to the project's organisation.")
    return membership


def _view(key: ApiKey, project: str) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        project=project,
        models=key.models,
        role=key.role,
        cache_seconds=key.cache_seconds,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
