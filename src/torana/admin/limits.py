"""Limits of a scope's account: requests and tokens a minute, open calls, models; and suspension."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.budgets import MACHINE
from torana.admin.editing import begin_edit, log_change
from torana.admin.scopes import Scope, ScopeRef, names_of, resolve
from torana.db.models import ApiKey, Balance, Membership, Project
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest
from torana.ledger.accounts import DYNAMIC, anchor_of
from torana.ledger.terms import Terms, read_terms, write_terms
from torana.ledger.windows import check_models

SUSPENDED = "suspended"
REVOKED = "revoked"
_LARGEST = 10**12
_RATES = {
    "rpm": "requests a minute",
    "tpm": "tokens a minute",
    "concurrency": "open calls",
}


class LimitsChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different of a scope's limits; None takes one away, what is left out stays."""

    rpm: int | msgspec.UnsetType | None = msgspec.UNSET
    tpm: int | msgspec.UnsetType | None = msgspec.UNSET
    concurrency: int | msgspec.UnsetType | None = msgspec.UNSET
    models: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    suspended: bool | msgspec.UnsetType = msgspec.UNSET


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a scope; None where there is none."""

    scope: str
    scope_id: str
    scope_name: str
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    models: list[str] | None
    blocked: str | None


def set_limits(
    database: Database,
    ref: ScopeRef,
    change: LimitsChange,
    *,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> LimitsView:
    """Change the limits of a scope; the next transaction of every process judges by them.

    Args:
        database: where.
        ref: whose limits.
        change: what shall be different.
        organisation_id: the only one in which the scope is looked for.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: a limit makes no sense.
        NotFound: there is no such scope.
        Conflict: a revoked key is to be suspended or resumed.
    """
    with database.write() as session:
        scope = resolve(session, ref, organisation_id=organisation_id)
        if scope.is_template:
            raise InvalidRequest("Limits are given to one at a time, not to '*'.", param="id")
        edit = begin_edit(session, scope)
        is_new = not edit.existing_accounts()
        (account,) = edit.scope_accounts()
        account.terms = write_terms(changed_limits(read_terms(account.terms), change))
        if change.suspended is not msgspec.UNSET:
            _suspend(account, suspended=change.suspended)
        if scope.kind == "key" and change.models is not msgspec.UNSET:
            # What a key may ask for is also told to its caller, from the key's own row.
            key = session.get_one(ApiKey, scope.id)
            key.models = list(change.models) if change.models is not None else None
        if is_new:
            edit.note_dimension()
        session.flush()
        (view,) = _views(session, [account])
    log_change("limits.changed", actor, view.scope_id, scope)
    return view


def changed_limits(terms: Terms, change: LimitsChange) -> Terms:
    """Terms with other limits.

    Raises:
        InvalidRequest: a limit makes no sense.
    """
    changes = {
        name: value
        for name in (*_RATES, "models")
        if (value := getattr(change, name)) is not msgspec.UNSET
    }
    for name, what in _RATES.items():
        value = changes.get(name)
        if value is not None and not 1 <= value <= _LARGEST:
            raise InvalidRequest(
                f"A limit of {what} is at least 1; leave it away for none.", param=name
            )
    check_models(changes.get("models"))
    return msgspec.structs.replace(terms, **changes)


def list_limits(
    database: Database,
    *,
    ref: ScopeRef | None = None,
    organisation_id: str | None = None,
    account_ids: tuple[str, ...] | None = None,
) -> list[LimitsView]:
    """The scopes that have limits or are blocked; a scope that is asked for is there anyway.

    Args:
        database: where.
        ref: only this scope.
        organisation_id: only what belongs to this organisation.
        account_ids: only these accounts.

    Raises:
        InvalidRequest, NotFound: there is no such scope.
    """
    with database.read() as session:
        query = select(Balance).where(Balance.budget_id == "")
        if account_ids is not None:
            query = query.where(Balance.id.in_(account_ids))
        if ref is not None:
            scope = resolve(session, ref, organisation_id=organisation_id)
            query = query.where(Balance.scope_kind == scope.kind, Balance.scope_id == scope.id)
            return _views(session, session.scalars(query).all()) or [_nothing(session, scope)]
        rows = [
            row
            for row in session.scalars(query.order_by(Balance.scope_kind, Balance.id))
            if row.blocked is not None or _has_limits(read_terms(row.terms))
        ]
        if organisation_id is not None:
            own = _of_organisation(session, organisation_id)
            rows = [row for row in rows if (_home(row) in own)]
        return _views(session, rows)


def _suspend(account: Balance, *, suspended: bool) -> None:
    if account.blocked == REVOKED:
        raise Conflict("This key is revoked, and that is for ever.")
    account.blocked = SUSPENDED if suspended else None


def _has_limits(terms: Terms) -> bool:
    return any(getattr(terms, name) is not None for name in (*_RATES, "models"))


def _home(row: Balance) -> str:
    return anchor_of(row.scope_id)[1] if row.scope_kind in DYNAMIC else row.scope_id


def _of_organisation(session: Session, organisation_id: str) -> set[str]:
    projects = select(Project.id).where(Project.organisation_id == organisation_id)
    keys = select(ApiKey.id).join(Project, Project.id == ApiKey.project_id)
    members = select(Membership.id).where(Membership.organisation_id == organisation_id)
    return {
        organisation_id,
        *session.scalars(projects),
        *session.scalars(keys.where(Project.organisation_id == organisation_id)),
        *session.scalars(members),
    }


def _views(session: Session, rows: Sequence[Balance]) -> list[LimitsView]:
    names = names_of(session, [(row.scope_kind, row.scope_id) for row in rows])
    return [
        _view(
            row.scope_kind,
            row.scope_id,
            names[row.scope_kind, row.scope_id],
            read_terms(row.terms),
            row.blocked,
        )
        for row in rows
    ]


def _nothing(session: Session, scope: Scope) -> LimitsView:
    name = names_of(session, [(scope.kind, scope.id)])[scope.kind, scope.id]
    return _view(scope.kind, scope.id, name, Terms(), None)


def _view(kind: str, scope_id: str, name: str, terms: Terms, blocked: str | None) -> LimitsView:
    return LimitsView(
        scope=kind,
        scope_id=scope_id,
        scope_name=name,
        rpm=terms.rpm,
        tpm=terms.tpm,
        concurrency=terms.concurrency,
        models=list(terms.models) if terms.models is not None else None,
        blocked=blocked,
    )
