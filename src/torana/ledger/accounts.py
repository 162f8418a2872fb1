"""Accounts and the windows of budgets: how they come to be and end, while their rows are locked.

A window that is opened counts what its scope has spent and holds open there already, so nothing is
lost or counted twice when a budget is made or changed in the middle of its window.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.core.clock import microseconds
from torana.core.ids import new_id
from torana.db.models import Balance, Budget, Reservation
from torana.db.models.base import from_microseconds
from torana.db.session import Database
from torana.errors import NotFound
from torana.ledger.directory import template_of
from torana.ledger.locking import database_now, locked_wholly
from torana.ledger.spent import of_scope, spent_between
from torana.ledger.terms import BudgetTerms, Terms, read_terms, write_terms
from torana.ledger.windows import highest_reached, limit_at, window_at

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of the window that never ends."""
DYNAMIC = ("end_user", "tag")
"""Scopes whose accounts are made on demand, and counted at an anchor: a project or organisation."""


def new_account(scope_kind: str, scope_id: str) -> Balance:
    """The balance over all time that a scope has."""
    return Balance(
        id=new_id("bal"),
        scope_kind=scope_kind,
        scope_id=scope_id,
        budget_id="",
        window_start=ALL_TIME,
        window_end=None,
        limit_nano=None,
        spent_nano=0,
        reserved_nano=0,
        open_calls=0,
        blocked=None,
        terms={},
    )


def account_of(session: Session, scope_kind: str, scope_id: str) -> Balance | None:
    """The account of a scope, if it has one."""
    return session.scalar(
        select(Balance).where(
            Balance.scope_kind == scope_kind, Balance.scope_id == scope_id, Balance.budget_id == ""
        )
    )


def anchor_of(scope_id: str) -> tuple[str, str]:
    """The kind and id of the project or organisation that an end user or a tag is counted at."""
    anchor = scope_id.partition("/")[0]
    return ("project" if anchor.startswith("proj_") else "organisation"), anchor


def terms_of(budget: Budget) -> BudgetTerms:
    """A budget as its windows carry it."""
    return BudgetTerms(
        amount_nano=budget.amount_nano,
        period=budget.period,
        interval_seconds=budget.interval_seconds or 0,
        starts_at=microseconds(budget.starts_at) if budget.starts_at is not None else 0,
        zone=budget.time_zone,
        mode=budget.mode,
        thresholds=tuple(budget.thresholds),
        models=tuple(budget.models) if budget.models is not None else None,
        raise_nano=budget.raise_nano,
        raise_until=microseconds(budget.raise_until) if budget.raise_until is not None else 0,
    )


def open_account(session: Session, scope_kind: str, scope_id: str, now: datetime) -> Balance:
    """Make the account of an end user or a tag, with the windows of the templates that want it.

    The anchor's account is locked, so none of the scope's calls is admitted or posted meanwhile.
    """
    account = new_account(scope_kind, scope_id)
    account.spent_nano = spent_between(
        session, scope_kind=scope_kind, scope_id=scope_id, start=ALL_TIME, end=None
    )
    session.add(account)
    _recount(session, account, opened=account, closed=set())
    templates = select(Budget).where(
        Budget.is_template,
        Budget.scope_kind == scope_kind,
        Budget.scope_id == template_of(scope_kind, scope_id),
    )
    for template in session.scalars(templates.order_by(Budget.id)).all():
        set_window(session, account, template.id, terms_of(template), now, held={})
    return account


def open_from_templates(database: Database, scope_kind: str, scope_id: str) -> str:
    """Make the account of an end user or a tag that has called for the first time; its id.

    Raises:
        NotFound: the anchor has no account.
    """
    kind, anchor_id = anchor_of(scope_id)
    with database.write() as session:
        anchor = account_of(session, kind, anchor_id)
        if anchor is None:
            raise NotFound(f"There is no {kind} {anchor_id[:100]!r}.")
        locked_wholly(session, lambda: {anchor.id})
        account = account_of(session, scope_kind, scope_id)
        if account is None:
            account = open_account(session, scope_kind, scope_id, database_now(session))
        return account.id


def set_window(
    session: Session,
    account: Balance,
    budget_id: str,
    terms: BudgetTerms,
    now: datetime,
    *,
    held: Mapping[str, Balance],
) -> Balance:
    """Make an account's present window of a budget what the terms say.

    If the terms still give the window that there is, its row changes in place. Otherwise another
    row takes its place, and counts what the scope has spent and holds open in the new window. A
    window that has ended stays as history.

    Args:
        session: of the transaction.
        account: of the scope, locked.
        budget_id: of the budget.
        terms: what the budget says now.
        now: the database's time.
        held: the locked rows; those of the budget's windows are among them.
    """
    now_us = microseconds(now)
    start_us, end_us = window_at(terms, now_us)
    start, end = from_microseconds(start_us) or ALL_TIME, from_microseconds(end_us)
    listed = read_terms(account.terms).windows
    windows = _windows(account, budget_id, held)
    present = next((row for row in windows if row.id in listed), None)
    if present is not None and (present.window_start, present.window_end) == (start, end):
        present.limit_nano = terms.amount_nano
        present.terms = write_terms(Terms(budget=terms))
        present.notified = highest_reached(
            terms.thresholds, present.spent_nano, limit_at(terms, now_us)
        )
        return present
    closed = {row.id for row in windows if row.window_start == start}
    if present is not None and (present.window_end is None or present.window_end > now):
        closed.add(present.id)
    window = Balance(
        id=new_id("bal"),
        scope_kind=account.scope_kind,
        scope_id=account.scope_id,
        budget_id=budget_id,
        window_start=start,
        window_end=end,
        limit_nano=terms.amount_nano,
        spent_nano=0,
        reserved_nano=0,
        open_calls=0,
        blocked=None,
        terms=write_terms(Terms(budget=terms)),
    )
    if account.spent_nano:  # Of a scope that never spent anything, the ledger need not be asked.
        window.spent_nano = spent_between(
            session, scope_kind=account.scope_kind, scope_id=account.scope_id, start=start, end=end
        )
    window.notified = highest_reached(terms.thresholds, window.spent_nano, limit_at(terms, now_us))
    if account.open_calls:
        _recount(session, account, opened=window, closed=closed)
    _delete(session, [row for row in windows if row.id in closed])
    session.add(window)
    gone = closed | ({present.id} if present is not None else set())
    _list_windows(account, add=window.id, remove=gone)
    session.flush()
    return window


def close_windows(
    session: Session, account: Balance, budget_id: str, *, held: Mapping[str, Balance]
) -> None:
    """Take all windows of a budget from an account; its open calls are counted there no more."""
    windows = _windows(account, budget_id, held)
    closed = {row.id for row in windows}
    if any(row.open_calls for row in windows):
        _recount(session, account, opened=None, closed=closed)
    _delete(session, windows)
    _list_windows(account, add=None, remove=closed)


def _windows(account: Balance, budget_id: str, held: Mapping[str, Balance]) -> list[Balance]:
    return [
        row
        for row in held.values()
        if row.budget_id == budget_id
        and (row.scope_kind, row.scope_id) == (account.scope_kind, account.scope_id)
    ]


def _list_windows(account: Balance, *, add: str | None, remove: set[str]) -> None:
    terms = read_terms(account.terms)
    kept = tuple(window for window in terms.windows if window not in remove)
    windows = kept if add is None else (*kept, add)
    account.terms = write_terms(msgspec.structs.replace(terms, windows=windows))


def _delete(session: Session, rows: list[Balance]) -> None:
    for row in rows:
        session.delete(row)
    session.flush()


def _recount(
    session: Session, account: Balance, *, opened: Balance | None, closed: set[str]
) -> None:
    """Put a scope's open calls on a balance that is new, and take them from those that end.

    The calls are locked in order, because another scope of theirs may be edited at the same time.
    """
    query = (
        select(Reservation)
        .where(of_scope(session, Reservation, account.scope_kind, account.scope_id))
        .order_by(Reservation.call_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for call in session.scalars(query).all():
        ids = [balance_id for balance_id in call.balance_ids if balance_id not in closed]
        if (
            opened is not None
            and call.admitted_at >= opened.window_start
            and (opened.window_end is None or call.admitted_at < opened.window_end)
        ):
            ids.append(opened.id)
            opened.reserved_nano += call.bound_nano
            opened.open_calls += 1
        call.balance_ids = ids
