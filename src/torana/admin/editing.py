"""An edit of budgets or limits: the rows that it concerns, locked, and what it leaves behind."""

from __future__ import annotations

import logging

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.scopes import Scope
from torana.db.models import Balance
from torana.errors import NotFound
from torana.ledger.accounts import account_of, open_account
from torana.ledger.locking import database_now, locked_wholly
from torana.ledger.terms import read_terms, write_terms

logger = logging.getLogger("torana.admin")


class Edit:
    """What is locked for an edit of a scope.

    Args:
        session: of the writing transaction.
        scope: whose budgets or limits are edited.
        held: the locked rows by id.
    """

    def __init__(self, session: Session, scope: Scope, held: dict[str, Balance]) -> None:
        self.held = held
        self._session = session
        self._scope = scope

    def existing_accounts(self) -> list[Balance]:
        """The accounts of the scope that there are; of a template, those of all it stands for."""
        return [row for row in self.held.values() if not row.budget_id and _is_of(self._scope, row)]

    def scope_accounts(self) -> list[Balance]:
        """The same, but the account of an end user or a tag is made if there is none.

        Raises:
            NotFound: the scope has no account.
        """
        found = self.existing_accounts()
        scope = self._scope
        if found or scope.is_template:
            return found
        if scope.anchor is None:
            raise NotFound(f"The {scope.kind} {scope.id!r} has no account.")
        now = database_now(self._session)
        return [open_account(self._session, scope.kind, scope.id, now)]

    def note_dimension(self) -> None:
        """Tell the anchor's account what its calls are counted by, and that it has changed.

        A dimension stays even when its last budget is gone: the accounts go on being counted.
        """
        if self._scope.anchor is None:
            return
        for row in self.held.values():
            if not row.budget_id and (row.scope_kind, row.scope_id) == self._scope.anchor:
                terms = read_terms(row.terms)
                dimensions = sorted({*terms.dimensions, self._scope.dimension})
                row.terms = write_terms(
                    msgspec.structs.replace(
                        terms, dimensions=tuple(dimensions), revision=terms.revision + 1
                    )
                )


def begin_edit(session: Session, scope: Scope, *, budget_id: str | None = None) -> Edit:
    """Lock all balances that an edit concerns: accounts, their windows, the anchor's account.

    Args:
        session: of a writing transaction that has no locks yet.
        scope: whose budgets or limits are edited.
        budget_id: a budget whose windows, the past ones too, may change.

    Raises:
        NotFound: the anchor has no account.
    """

    def wanted() -> set[str]:
        ids: set[str] = set()
        for account_id, terms in _accounts(session, scope):
            ids.add(account_id)
            ids.update(read_terms(terms).windows)
        if scope.anchor is not None:
            anchor = account_of(session, *scope.anchor)
            if anchor is None:
                raise NotFound(f"There is no {scope.anchor[0]} {scope.anchor[1]!r}.")
            ids.add(anchor.id)
        if budget_id is not None:
            ids.update(session.scalars(select(Balance.id).where(Balance.budget_id == budget_id)))
        return ids

    return Edit(session, scope, locked_wholly(session, wanted))


def log_change(event: str, actor: str, subject_id: str, scope: Scope) -> None:
    """The line of the log that says who has changed what."""
    logger.info(
        event,
        extra={
            "actor": actor,
            "subject_id": subject_id,
            "scope_kind": scope.kind,
            "scope_id": scope.id,
            "organisation_id": scope.organisation_id,
        },
    )


def _accounts(session: Session, scope: Scope) -> list[tuple[str, dict[str, object]]]:
    query = select(Balance.id, Balance.scope_id, Balance.terms).where(
        Balance.scope_kind == scope.kind, Balance.budget_id == ""
    )
    if not scope.is_template:
        query = query.where(Balance.scope_id == scope.id)
    else:
        query = query.where(Balance.scope_id.startswith(_beginning(scope), autoescape=True))
    rows = session.execute(query).all()
    # SQLite's LIKE does not tell capitals from small letters.
    return [(row[0], row[2]) for row in rows if _stands_for(scope, row[1])]


def _is_of(scope: Scope, row: Balance) -> bool:
    return row.scope_kind == scope.kind and _stands_for(scope, row.scope_id)


def _stands_for(scope: Scope, scope_id: str) -> bool:
    if scope.is_template:
        return scope_id.startswith(_beginning(scope))
    return scope_id == scope.id


def _beginning(template: Scope) -> str:
    return template.id[:-1]
