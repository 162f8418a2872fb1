"""Guardrails as rows: added, listed, changed, removed and tried out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.config_version import raise_version
from torana.admin.tenancy import find_project
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Guardrail, Project
from torana.db.session import Database
from torana.errors import Conflict, GuardrailBlocked, InvalidRequest, NotFound
from torana.guardrails.guarded import build_guardrails
from torana.guardrails.registry import installed
from torana.guardrails.replies import guard_text
from torana.guardrails.terms import LARGEST_ORDER, WHERES, GuardrailRow, GuardrailTerms, Where

logger = logging.getLogger("torana.admin")

MACHINE = "cli"
"""The actor of what is done at the command line of the machine."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MODEL_LIMIT = 200
_MOST = 1000
_SHOWN = 100


class NewGuardrail(msgspec.Struct, frozen=True, kw_only=True):
    """A guardrail to add.

    Attributes:
        kind: `blocked_patterns`, `mask` or that of a plugin.
        models: the only ones that it is for, `gpt-4*` for a beginning; None for all.
        projects: names or ids of the only ones that it is for; None for all.
        where, order, options: as `GuardrailTerms`.
    """

    name: str
    kind: str
    models: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    where: str = "prompt"
    order: int = 0
    options: dict[str, Any] = {}
    enabled: bool = True


class GuardrailChange(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different of a guardrail; what is left out stays. `options` are replaced."""

    models: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    projects: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    where: str | msgspec.UnsetType = msgspec.UNSET
    order: int | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET


class GuardrailView(msgspec.Struct, frozen=True, kw_only=True):
    """A guardrail as it is listed; `projects` has names."""

    id: str
    name: str
    kind: str
    enabled: bool
    models: list[str] | None
    projects: list[str] | None
    where: str
    order: int
    options: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class TrialView(msgspec.Struct, frozen=True, kw_only=True):
    """What the guardrails of a model do with a text.

    Attributes:
        outcomes: of each guardrail in its order, `passed`, `masked` or `blocked`.
        prompt: what the model would get; None when it is blocked.
        answer: what the caller would get if the model repeated that; None when it is blocked.
        blocked: why it is.
    """

    outcomes: dict[str, str]
    prompt: str | None = None
    answer: str | None = None
    blocked: str | None = None


def add_guardrail(
    database: Database,
    new: NewGuardrail,
    *,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> GuardrailView:
    """Add a guardrail; every process works by it within a second.

    Args:
        database: where.
        new: what it is.
        organisation_id: the only one in which projects are looked for.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: the name, the terms or the options are not usable; `param` says which.
        ConfigurationError: the plugin of its kind is broken.
        NotFound: there is no such project.
        Conflict: the name is taken.
    """
    if not _NAME.fullmatch(new.name):
        raise InvalidRequest(
            "A guardrail's name has up to 63 lower-case letters, digits, '-' and '_', "
            "and begins with a letter.",
            param="name",
        )
    with database.write(alone=True) as session:
        if session.scalar(select(Guardrail.id).where(Guardrail.name == new.name)) is not None:
            raise Conflict(f"A guardrail {new.name!r} exists already.")
        terms = _terms(session, new, organisation_id)
        row = Guardrail(id=new_id("guard"), name=new.name, kind=new.kind, created_at=utc_now())
        _write(row, terms, enabled=new.enabled)
        session.add(row)
        raise_version(session)
        view = _view(session, row)
    _log("guardrail.added", actor, view)
    return view


def update_guardrail(
    database: Database,
    name: str,
    change: GuardrailChange,
    *,
    organisation_id: str | None = None,
    actor: str = MACHINE,
) -> GuardrailView:
    """Change a guardrail; every process works by it within a second.

    Raises:
        InvalidRequest, ConfigurationError, NotFound: as `add_guardrail`; there is no such one.
    """
    with database.write(alone=True) as session:
        row = _find(session, name)
        stored = msgspec.convert(row.terms, GuardrailTerms)
        given = {
            field: value
            for field in GuardrailChange.__struct_fields__
            if (value := getattr(change, field)) is not msgspec.UNSET
        }
        became = msgspec.structs.replace(
            NewGuardrail(
                name=row.name, kind=row.kind, enabled=row.enabled, **msgspec.structs.asdict(stored)
            ),
            **given,
        )
        # A project that is gone since must not stand in the way of another change.
        terms = _terms(session, became, organisation_id, known=stored.projects or ())
        _write(row, terms, enabled=became.enabled)
        raise_version(session)
        view = _view(session, row)
    _log("guardrail.changed", actor, view)
    return view


def remove_guardrail(database: Database, name: str, *, actor: str = MACHINE) -> GuardrailView:
    """Remove a guardrail.

    Returns:
        The guardrail as it was.

    Raises:
        NotFound: there is no such one.
    """
    with database.write(alone=True) as session:
        row = _find(session, name)
        view = _view(session, row)
        session.delete(row)
        raise_version(session)
    _log("guardrail.removed", actor, view)
    return view


def read_guardrail(database: Database, name: str) -> GuardrailView:
    """A guardrail.

    Raises:
        NotFound: there is no such one.
    """
    with database.read() as session:
        return _view(session, _find(session, name))


def list_guardrails(database: Database) -> list[GuardrailView]:
    """All guardrails, in the order in which they see a prompt."""
    with database.read() as session:
        views = [_view(session, row) for row in session.scalars(select(Guardrail))]
    return sorted(views, key=lambda view: (view.order, view.name))


def guardrail_rows(session: Session) -> list[GuardrailRow]:
    """The enabled guardrails, for a process's configuration."""
    return [
        GuardrailRow(name=row.name, kind=row.kind, terms=row.terms)
        for row in session.scalars(select(Guardrail).where(Guardrail.enabled))
    ]


def try_guardrails(
    database: Database, text: str, *, model: str, project: str | None = None
) -> TrialView:
    """Lead a text through the enabled guardrails of a model, as a prompt and as its answer.

    Args:
        database: where.
        text: is not kept.
        model: as callers ask for it.
        project: its name or id; None leaves out what is for certain projects.

    Raises:
        NotFound: there is no such project.
        InternalError: one of the guardrails can't be run.
    """
    with database.read() as session:
        rows = guardrail_rows(session)
        project_id = "" if project is None else find_project(session, project).id
    guards = build_guardrails(rows).for_call(model, project_id)
    if guards is None:
        return TrialView(outcomes={}, prompt=text, answer=text)
    prompt = None
    try:
        prompt = guards.rewrite(lambda rewrite: rewrite(text))
        answer = guard_text(guards, prompt)
    except GuardrailBlocked as blocked:
        return TrialView(outcomes=dict(guards.outcomes), prompt=prompt, blocked=blocked.message)
    return TrialView(outcomes=dict(guards.outcomes), prompt=prompt, answer=answer)


def _terms(
    session: Session,
    new: NewGuardrail,
    organisation_id: str | None,
    *,
    known: Iterable[str] = (),
) -> GuardrailTerms:
    """What is stored of a guardrail, once all of it was found to make sense."""
    if new.where not in WHERES:
        raise InvalidRequest(f"'where' is one of {', '.join(WHERES)}.", param="where")
    if not -LARGEST_ORDER <= new.order <= LARGEST_ORDER:
        raise InvalidRequest(
            f"'order' is between {-LARGEST_ORDER} and {LARGEST_ORDER}.", param="order"
        )
    _check_list(new.models, "models")
    _check_list(new.projects, "projects")
    installed().build(new.kind, new.name, new.options)
    projects = None
    if new.projects is not None:
        kept = set(known)
        ids = [
            name
            if name in kept
            else find_project(session, name, organisation_id=organisation_id).id
            for name in new.projects
        ]
        projects = tuple(dict.fromkeys(ids))
    return GuardrailTerms(
        models=new.models,
        projects=projects,
        where=msgspec.convert(new.where, Where),
        order=new.order,
        options=new.options,
    )


def _check_list(names: tuple[str, ...] | None, param: str) -> None:
    if names is None:
        return
    if not 1 <= len(names) <= _MOST:
        raise InvalidRequest(
            f"{param!r} names 1 to {_MOST}; without it the guardrail is for all.", param=param
        )
    for name in names:
        if not (0 < len(name) <= _MODEL_LIMIT and name.isprintable() and name.strip() == name):
            raise InvalidRequest(
                f"A name in {param!r} has 1 to {_MODEL_LIMIT} printable characters.", param=param
            )


def _write(row: Guardrail, terms: GuardrailTerms, *, enabled: bool) -> None:
    row.terms = msgspec.to_builtins(terms)
    row.enabled = enabled
    row.updated_at = utc_now()


def _find(session: Session, name: str) -> Guardrail:
    row = session.scalar(select(Guardrail).where(Guardrail.name == name))
    if row is None:
        names = list(session.scalars(select(Guardrail.name).order_by(Guardrail.name)))
        near = get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`torana guardrails list` shows them."
        raise NotFound(f"There is no guardrail {name[:_SHOWN]!r}.", hint=hint)
    return row


def _view(session: Session, row: Guardrail) -> GuardrailView:
    terms = msgspec.convert(row.terms, GuardrailTerms)
    projects = None
    if terms.projects is not None:
        query = select(Project.id, Project.name).where(Project.id.in_(terms.projects))
        names = {found.id: found.name for found in session.execute(query)}
        projects = [names.get(each, each) for each in terms.projects]
    return GuardrailView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        enabled=row.enabled,
        models=None if terms.models is None else list(terms.models),
        projects=projects,
        where=terms.where,
        order=terms.order,
        options=terms.options,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _log(event: str, actor: str, view: GuardrailView) -> None:
    logger.info(event, extra={"actor": actor, "subject_id": view.id, "kind": view.kind})
