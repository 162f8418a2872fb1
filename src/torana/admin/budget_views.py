"""Budgets and their events as others see them, with what is left in the present window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from torana.admin.scopes import names_of
from torana.core.clock import microseconds
from torana.core.money import format_usd
from torana.db.models import Balance, Budget, BudgetEvent
from torana.db.models.base import from_microseconds
from torana.ledger.accounts import ALL_TIME, terms_of
from torana.ledger.locking import database_now
from torana.ledger.windows import limit_at, window_at


class WindowView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget's present window. Dollars are exact decimals.

    Attributes:
        limit_usd: with a raise that lasts.
        reserved_usd: the most that open calls may still cost.
        remaining_usd: of the limit, after both; below zero after the limit was lowered.
        percent: of the limit that is spent, rounded down.
    """

    start: datetime
    end: datetime | None
    limit_usd: str
    spent_usd: str
    reserved_usd: str
    remaining_usd: str
    open_calls: int
    percent: int


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget. A template has no window of its own."""

    id: str
    name: str
    scope: str
    scope_id: str
    scope_name: str
    is_template: bool
    amount_usd: str
    period: str
    interval_seconds: int | None
    starts_at: datetime | None
    time_zone: str
    mode: str
    thresholds: list[int]
    models: list[str] | None
    raise_usd: str | None
    raise_until: datetime | None
    created_at: datetime
    updated_at: datetime
    window: WindowView | None


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget had spent a share of its limit."""

    id: str
    budget_id: str
    scope: str
    scope_id: str
    scope_name: str
    window_start: datetime
    percent: int
    spent_usd: str
    limit_usd: str
    happened_at: datetime


def views_of(session: Session, budgets: Sequence[Budget]) -> list[BudgetView]:
    """Budgets as others see them."""
    if not budgets:
        return []
    now = database_now(session)
    ids = [budget.id for budget in budgets if not budget.is_template]
    newest: dict[str, Balance] = {}
    last = (
        select(Balance.budget_id, func.max(Balance.window_start).label("start"))
        .where(Balance.budget_id.in_(ids))
        .group_by(Balance.budget_id)
        .subquery()
    )
    rows = select(Balance).join(
        last, and_(last.c.budget_id == Balance.budget_id, last.c.start == Balance.window_start)
    )
    for row in session.scalars(rows):
        newest[row.budget_id] = row
    names = names_of(session, [(budget.scope_kind, budget.scope_id) for budget in budgets])
    return [
        _view(budget, newest.get(budget.id), names[budget.scope_kind, budget.scope_id], now)
        for budget in budgets
    ]


def event_views(session: Session, events: Sequence[BudgetEvent]) -> list[EventView]:
    """Events as others see them."""
    names = names_of(session, [(event.scope_kind, event.scope_id) for event in events])
    return [
        EventView(
            id=event.id,
            budget_id=event.budget_id,
            scope=event.scope_kind,
            scope_id=event.scope_id,
            scope_name=names[event.scope_kind, event.scope_id],
            window_start=event.window_start,
            percent=event.percent,
            spent_usd=format_usd(event.spent_nano),
            limit_usd=format_usd(event.limit_nano),
            happened_at=event.happened_at,
        )
        for event in events
    ]


def _view(budget: Budget, row: Balance | None, scope_name: str, now: datetime) -> BudgetView:
    raised = budget.raise_until is not None and budget.raise_until > now
    return BudgetView(
        id=budget.id,
        name=budget.name,
        scope=budget.scope_kind,
        scope_id=budget.scope_id,
        scope_name=scope_name,
        is_template=budget.is_template,
        amount_usd=format_usd(budget.amount_nano),
        period=budget.period,
        interval_seconds=budget.interval_seconds,
        starts_at=budget.starts_at,
        time_zone=budget.time_zone,
        mode=budget.mode,
        thresholds=list(budget.thresholds),
        models=list(budget.models) if budget.models is not None else None,
        raise_usd=format_usd(budget.raise_nano) if raised else None,
        raise_until=budget.raise_until if raised else None,
        created_at=budget.created_at,
        updated_at=budget.updated_at,
        window=None if budget.is_template else _window(budget, row, now),
    )


def _window(budget: Budget, row: Balance | None, now: datetime) -> WindowView:
    """The present window. While nobody calls, its row may still be that of the one before."""
    terms = terms_of(budget)
    now_us = microseconds(now)
    limit = limit_at(terms, now_us)
    if row is not None and (row.window_end is None or row.window_end > now):
        start, end = row.window_start, row.window_end
        spent, reserved, open_calls = row.spent_nano, row.reserved_nano, row.open_calls
    else:
        start_us, end_us = window_at(terms, now_us)
        start, end = from_microseconds(start_us) or ALL_TIME, from_microseconds(end_us)
        spent = reserved = open_calls = 0
    return WindowView(
        start=start,
        end=end,
        limit_usd=format_usd(limit),
        spent_usd=format_usd(spent),
        reserved_usd=format_usd(reserved),
        remaining_usd=format_usd(limit - spent - reserved),
        open_calls=open_calls,
        percent=spent * 100 // limit if limit else 100,
    )
