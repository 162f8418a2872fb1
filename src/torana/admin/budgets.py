"""Budgets: made, changed, raised for a while, deleted, and listed with what is left of them.

Whoever changes one locks the accounts and windows concerned, as the teller does, so the change
decides about the next transaction of every process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.budget_views import BudgetView, EventView, event_views, views_of
from torana.admin.editing import Edit, begin_edit, log_change
from torana.admin.scopes import Scope, ScopeRef, resolve
from torana.core.clock import microseconds
from torana.core.ids import new_id
from torana.db.models import Balance, Budget, BudgetEvent
from torana.db.models.base import from_microseconds
from torana.db.session import Database
from torana.errors import InvalidRequest, NotFound
from torana.ledger.accounts import close_windows, set_window, terms_of
from torana.ledger.locking import database_now
from torana.ledger.terms import BudgetTerms
from torana.ledger.windows import check_terms

MACHINE = "cli"
"""The actor of what is done at the command line of the machine."""
_NAME_LIMIT = 200
_EVENTS = 200


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different of a budget; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    amount_nano: int | msgspec.UnsetType = msgspec.UNSET
    period: str | msgspec.UnsetType = msgspec.UNSET
    interval_seconds: int | msgspec.UnsetType = msgspec.UNSET
    starts_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    zone: str | msgspec.UnsetType = msgspec.UNSET
    mode: str | msgspec.UnsetType = msgspec.UNSET
    thresholds: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    models: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET


def create_budget(
    database: Database,
    ref: ScopeRef,
    terms: BudgetTerms,
    *,
    name: str = "",
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> BudgetView:
    """Make a budget; its present window counts what is spent and open already.

    Args:
        database: where.
        ref: whose budget.
        terms: amount, period and so on.
        name: for people; it may be empty.
        organisation_id: the only one in which the scope is looked for.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: the terms or the scope make no sense.
        NotFound: there is no such scope.
    """
    with database.write() as session:
        scope = resolve(session, ref, organisation_id=organisation_id)
        edit = begin_edit(session, scope)
        budget = add_budget(session, scope, edit.scope_accounts(), terms, name=name)
        edit.note_dimension()
        session.flush()
        (view,) = views_of(session, [budget])
    log_change("budget.created", actor, view.id, scope)
    return view


def add_budget(
    session: Session,
    scope: Scope,
    accounts: list[Balance],
    terms: BudgetTerms,
    *,
    name: str = "",
) -> Budget:
    """Make a budget and its windows on locked accounts, within a transaction."""
    now = database_now(session)
    check_terms(terms, now_us=microseconds(now))
    budget = Budget(
        id=new_id("bud"),
        organisation_id=scope.organisation_id,
        scope_kind=scope.kind,
        scope_id=scope.id,
        is_template=scope.is_template,
        created_at=now,
        name=_checked_name(name),
    )
    _write(budget, terms, now)
    session.add(budget)
    for account in accounts:
        set_window(session, account, budget.id, terms, now, held={})
    return budget


def update_budget(
    database: Database,
    budget_id: str,
    change: BudgetChange,
    *,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> BudgetView:
    """Change a budget; another period or time zone opens another window, which counts anew.

    Raises:
        InvalidRequest: what it would become makes no sense.
        NotFound: there is no such budget.
    """

    def changed(terms: BudgetTerms, _now: datetime) -> BudgetTerms:
        return _merged(terms, change)

    name = None if change.name is msgspec.UNSET else _checked_name(str(change.name))
    return _edit(
        database, budget_id, changed, name=name, organisation_id=organisation_id, actor=actor
    )


def raise_budget(
    database: Database,
    budget_id: str,
    *,
    amount_nano: int,
    until: datetime | None,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> BudgetView:
    """Add to a budget's amount for a while; it ends by itself. It replaces an earlier raise.

    Args:
        database: where.
        budget_id: of the budget.
        amount_nano: what is added; zero ends a raise now.
        until: when it ends.
        organisation_id: the only one in which the budget is looked for.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: the amount or the end makes no sense.
        NotFound: there is no such budget.
    """

    def raised(terms: BudgetTerms, _now: datetime) -> BudgetTerms:
        if amount_nano == 0:
            return msgspec.structs.replace(terms, raise_nano=0, raise_until=0)
        if until is None:
            raise InvalidRequest("A raise needs an end in the future.", param="until")
        return msgspec.structs.replace(
            terms, raise_nano=amount_nano, raise_until=microseconds(until)
        )

    return _edit(
        database, budget_id, raised, name=None, organisation_id=organisation_id, actor=actor
    )


def delete_budget(
    database: Database,
    budget_id: str,
    *,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> BudgetView:
    """Delete a budget with its windows; the ledger and the budget's events stay.

    Returns:
        The budget as it was.

    Raises:
        NotFound: there is no such budget.
    """
    with database.write() as session:
        budget, scope, edit = _held(session, budget_id, organisation_id)
        (view,) = views_of(session, [budget])
        for account in edit.existing_accounts():
            close_windows(session, account, budget.id, held=edit.held)
        session.delete(budget)
        edit.note_dimension()
    log_change("budget.deleted", actor, view.id, scope)
    return view


def read_budget(
    database: Database, budget_id: str, *, organisation_id: str | None = None
) -> BudgetView:
    """A budget with its present window.

    Raises:
        NotFound: there is no such budget.
    """
    with database.read() as session:
        (view,) = views_of(session, [_find(session, budget_id, organisation_id)])
        return view


def list_budgets(
    database: Database,
    *,
    ref: ScopeRef | None = None,
    organisation_id: str | None = None,
    account_ids: tuple[str, ...] | None = None,
) -> list[BudgetView]:
    """Budgets with their present windows, oldest first.

    Args:
        database: where.
        ref: only those of this scope.
        organisation_id: only those of this organisation.
        account_ids: only those that are judged on these accounts.

    Raises:
        InvalidRequest, NotFound: there is no such scope.
    """
    with database.read() as session:
        query = select(Budget).order_by(Budget.created_at, Budget.id)
        if organisation_id is not None:
            query = query.where(Budget.organisation_id == organisation_id)
        if ref is not None:
            scope = resolve(session, ref, organisation_id=organisation_id)
            query = query.where(Budget.scope_kind == scope.kind, Budget.scope_id == scope.id)
        if account_ids is not None:
            scopes = select(Balance.scope_id).where(Balance.id.in_(account_ids))
            query = query.where(Budget.scope_id.in_(scopes))
        return views_of(session, session.scalars(query).all())


def budget_events(
    database: Database, budget_id: str | None = None, *, organisation_id: str | None = None
) -> list[EventView]:
    """The thresholds that budgets have reached, newest first; at most 200.

    Args:
        database: where.
        budget_id: only of this budget.
        organisation_id: only of this organisation.

    Raises:
        NotFound: there is no such budget.
    """
    with database.read() as session:
        query = select(BudgetEvent).order_by(BudgetEvent.happened_at.desc(), BudgetEvent.id.desc())
        if budget_id is not None:
            budget = _find(session, budget_id, organisation_id)
            query = query.where(BudgetEvent.budget_id == budget.id)
        elif organisation_id is not None:
            own = select(Budget.id).where(Budget.organisation_id == organisation_id)
            query = query.where(BudgetEvent.budget_id.in_(own))
        return event_views(session, session.scalars(query.limit(_EVENTS)).all())


def _edit(
    database: Database,
    budget_id: str,
    change: Callable[[BudgetTerms, datetime], BudgetTerms],
    *,
    name: str | None,
    organisation_id: str | None,
    actor: str,
) -> BudgetView:
    with database.write() as session:
        budget, scope, edit = _held(session, budget_id, organisation_id)
        now = database_now(session)
        terms = change(_without_ended_raise(terms_of(budget), now), now)
        check_terms(terms, now_us=microseconds(now))
        _write(budget, terms, now)
        if name is not None:
            budget.name = name
        for account in edit.existing_accounts():
            set_window(session, account, budget.id, terms, now, held=edit.held)
        session.flush()
        (view,) = views_of(session, [budget])
    log_change("budget.changed", actor, view.id, scope)
    return view


def _held(
    session: Session, budget_id: str, organisation_id: str | None
) -> tuple[Budget, Scope, Edit]:
    """A budget, read again after all that it concerns was locked."""
    budget = _find(session, budget_id, organisation_id)
    scope = Scope(
        kind=budget.scope_kind, id=budget.scope_id, organisation_id=budget.organisation_id
    )
    edit = begin_edit(session, scope, budget_id=budget.id)
    return _find(session, budget_id, organisation_id), scope, edit


def _find(session: Session, budget_id: str, organisation_id: str | None) -> Budget:
    query = select(Budget).where(Budget.id == budget_id)
    if organisation_id is not None:
        query = query.where(Budget.organisation_id == organisation_id)
    budget = session.scalar(query.execution_options(populate_existing=True))
    if budget is None:
        raise NotFound(
            f"There is no budget {budget_id[:100]!r}.", hint="`torana budgets list` shows the ids."
        )
    return budget


def _merged(terms: BudgetTerms, change: BudgetChange) -> BudgetTerms:
    changes = {
        field: value
        for field in BudgetTerms.__struct_fields__
        if (value := getattr(change, field, msgspec.UNSET)) is not msgspec.UNSET
    }
    if "starts_at" in changes:
        start = changes["starts_at"]
        changes["starts_at"] = microseconds(start) if start is not None else 0
    period = changes.get("period", terms.period)
    # What only the old period had goes with it.
    if period != "interval":
        changes.setdefault("interval_seconds", 0)
    if period not in {"interval", "total"}:
        changes.setdefault("starts_at", 0)
    return msgspec.structs.replace(terms, **changes)


def _without_ended_raise(terms: BudgetTerms, now: datetime) -> BudgetTerms:
    if terms.raise_until > microseconds(now):
        return terms
    return msgspec.structs.replace(terms, raise_nano=0, raise_until=0)


def _write(budget: Budget, terms: BudgetTerms, now: datetime) -> None:
    budget.amount_nano = terms.amount_nano
    budget.period = terms.period
    budget.interval_seconds = terms.interval_seconds or None
    budget.starts_at = from_microseconds(terms.starts_at or None)
    budget.time_zone = terms.zone
    budget.mode = terms.mode
    budget.thresholds = list(terms.thresholds)
    budget.models = list(terms.models) if terms.models is not None else None
    budget.raise_nano = terms.raise_nano
    budget.raise_until = from_microseconds(terms.raise_until or None)
    budget.updated_at = now


def _checked_name(name: str) -> str:
    name = name.strip()
    if len(name) > _NAME_LIMIT or not name.isprintable():
        raise InvalidRequest(
            f"A budget's name has at most {_NAME_LIMIT} printable characters.", param="name"
        )
    return name
