"""Make the configuration as a file wants it: all of it or nothing, and nothing that is so already.

Everything is tried in one transaction, so what is refused is refused before anything is changed,
and a dry run is a real one that is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from torana.admin.apply.difference import Change
from torana.admin.apply.document import Document
from torana.admin.apply.hosts import check_hosts
from torana.admin.apply.joined import JoinedDatabase
from torana.admin.apply.part import Need, Part
from torana.admin.apply.parts import parts_of
from torana.admin.apply.problems import Problem
from torana.admin.apply.references import check_references
from torana.admin.apply.secrets import Sources, read_secrets
from torana.admin.providers import list_providers
from torana.admin.scopes import Scope, resolve
from torana.db.models import Balance
from torana.db.session import Database
from torana.errors import LedgerUnavailable, ToranaError
from torana.ledger.locking import locked_wholly
from torana.outbound.resolver import Lookup, system_lookup
from torana.secret_box import SecretBox


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an application has done, or would do.

    Attributes:
        changes: in the order of writing.
        unchanged: how many parts are as the file says.
        applied: whether anything was written.
    """

    changes: tuple[Change, ...]
    unchanged: int
    applied: bool


def apply_document(
    database: Database,
    box: SecretBox,
    document: Document,
    sources: Sources,
    *,
    dry_run: bool = False,
    resolve: Lookup = system_lookup,
) -> Outcome:
    """Apply a file.

    Args:
        database: where.
        box: encrypts and reads providers' keys.
        document: the file.
        sources: where its secrets are.
        dry_run: change nothing, only say what would change.
        resolve: finds the addresses of providers' hosts.

    Raises:
        ValidationFailed: something of it can't be; nothing is changed. The problems have lines.
        LedgerUnavailable: the database is away or busy; nothing is changed.
    """
    parts = _checked_parts(database, box, document, sources, resolve)
    unlike = _unlike(database, parts)
    changes = _written(database, document, parts, unlike, dry_run=dry_run) if unlike else []
    return Outcome(
        changes=tuple(changes),
        unchanged=len(parts) - len(changes),
        applied=bool(changes) and not dry_run,
    )


def _checked_parts(
    database: Database, box: SecretBox, document: Document, sources: Sources, resolve: Lookup
) -> list[Part]:
    """The parts of a file that is sound as far as this can be told without trying."""
    wanted = document.wanted
    known = {view.name: view.base_url for view in list_providers(database)}
    problems = [*document.problems, *check_references(wanted, known)]
    secrets = []
    for position, provider in enumerate(wanted.providers):
        found, wrong = read_secrets(provider, ("providers", position), sources)
        secrets.append(found)
        problems += wrong
    parts = parts_of(document, secrets, box)
    problems += check_hosts(database, parts, known, resolve)
    if problems:
        raise document.refuse(problems)
    return parts


def _unlike(database: Database, parts: Iterable[Part]) -> list[Part]:
    """The parts that are not as the file wants them, or can't be; most are, in most files."""
    with database.read() as session:
        joined = JoinedDatabase(database, session)
        return [part for part in parts if _differs(part, joined)]


def _differs(part: Part, database: Database) -> bool:
    try:
        return part.compare(database) is not None
    except LedgerUnavailable:
        raise
    except ToranaError:
        return True  # It needs what is not there yet, or trying it will tell why it can't be.


def _written(
    database: Database,
    document: Document,
    parts: Sequence[Part],
    unlike: Sequence[Part],
    *,
    dry_run: bool,
) -> list[Change]:
    attempt = _Attempt()
    with database.write(alone=True) as session:
        joined = JoinedDatabase(database, session)
        attempt.run(unlike, joined)
        if not attempt.problems:
            kinds = {part.kind for part in unlike}
            attempt.look_again([part for part in parts if part.kind in kinds], joined)
        if dry_run or attempt.problems:
            session.rollback()
    if attempt.problems:
        raise document.refuse(attempt.problems)
    return attempt.changes


class _Attempt:
    """Parts, tried one after another in one transaction."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.problems: list[Problem] = []
        self._refused: set[Need] = set()

    def run(self, parts: Sequence[Part], database: JoinedDatabase) -> None:
        """Try all; a part that is refused leaves nothing and does not stop the others."""
        locked = False
        for part in parts:
            if part.scope is not None and not locked:
                _lock_accounts(database, parts)
                locked = True
            if not part.needs & self._refused:
                self._try(part, database)

    def look_again(self, parts: Iterable[Part], database: JoinedDatabase) -> None:
        """See that all is as the file wants it, so that the next run has nothing to do."""
        message = "another entry of this file wants it otherwise"
        self.problems += [Problem(part.path, message) for part in parts if _differs(part, database)]

    def _try(self, part: Part, database: JoinedDatabase) -> None:
        try:
            with database.write():
                change = part.compare(database)
                if change is not None:
                    part.write(database)
                    self.changes.append(change)
        except LedgerUnavailable:
            raise
        except ToranaError as error:
            self.problems.append(part.problem(error))
            self._refused.add((part.kind, part.name))


def _lock_accounts(database: JoinedDatabase, parts: Iterable[Part]) -> None:
    """Lock at once, in everybody's order, what the parts will lock one after another."""

    def wanted(session: Session) -> set[str]:
        ids: set[str] = set()
        for part in parts:
            scope = _existing_scope(session, part)
            if scope is not None:
                ids.update(session.scalars(select(Balance.id).where(_is_of(scope))))
        return ids

    with database.read() as session:
        locked_wholly(session, lambda: wanted(session))


def _existing_scope(session: Session, part: Part) -> Scope | None:
    if part.scope is None:
        return None
    try:
        return resolve(session, part.scope, organisation_id=None)
    except ToranaError:
        return None  # Trying the part will tell.


def _is_of(scope: Scope) -> ColumnElement[bool]:
    """The accounts and windows of a scope, and those of the place that it is counted at."""
    of_scope = Balance.scope_id == scope.id
    if scope.is_template:
        of_scope = Balance.scope_id.startswith(scope.id[:-1], autoescape=True)
    found = (Balance.scope_kind == scope.kind) & of_scope
    if scope.anchor is not None:
        kind, anchor_id = scope.anchor
        found |= (Balance.scope_kind == kind) & (Balance.scope_id == anchor_id)
    return found
