"""From what a person types to the scope that a budget or a limit is for, and back to a name."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.tenancy import default_organisation, find_project
from torana.db.models import ApiKey, Membership, Organisation, Project, User
from torana.db.models.ledger import CALLER_TEXT
from torana.errors import Conflict, InvalidRequest, NotFound
from torana.ledger.accounts import DYNAMIC, anchor_of

KINDS = ("key", "user", "project", "organisation", "end_user", "tag")
ALL = "*"
"""Stands for each end user, or each value of a tag: a budget of it is a template."""
_TAG_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SELF_CHECK = "self-check"
"""The name of the key that `torana up` asks itself with; it is nobody's to name."""
_SHOWN = 100


class ScopeRef(msgspec.Struct, frozen=True, kw_only=True):
    """A scope as a person names it.

    Attributes:
        kind: one of `KINDS`.
        id: a key's id or name; a user's e-mail; a project's or organisation's id or name; an end
            user's id as callers send it; a tag as `team=red`. `*` and `team=*` stand for each.
        project: of an end user or a tag, the project that it is counted at; None for the whole
            organisation.
    """

    kind: str
    id: str
    project: str | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget or a limit is for; `id` is what balances have as their scope's id."""

    kind: str
    id: str
    organisation_id: str

    @property
    def is_template(self) -> bool:
        """Whether it stands for each end user, or for each value of a tag."""
        text = self.id.partition("/")[2]
        if self.kind == "end_user":
            return text == ALL
        return self.kind == "tag" and text.partition("=")[2] == ALL

    @property
    def anchor(self) -> tuple[str, str] | None:
        """Kind and id of the project or organisation that an end user or a tag is counted at."""
        return anchor_of(self.id) if self.kind in DYNAMIC else None

    @property
    def dimension(self) -> str:
        """What the anchor's account lists for it."""
        if self.kind == "end_user":
            return "end_user"
        return f"tag:{self.id.partition('/')[2].partition('=')[0]}"


def resolve(session: Session, ref: ScopeRef, *, organisation_id: str | None) -> Scope:
    """Find a scope.

    Args:
        session: of a transaction.
        ref: what was typed.
        organisation_id: the only one to look in; None for the administrator of the machine, who
            may name what is in any, and means the default one.

    Raises:
        InvalidRequest: the kind or the text is not usable.
        NotFound: there is no such thing, or not in this organisation.
        Conflict: several keys have the name.
    """
    kind = ref.kind.replace("-", "_")
    if kind not in KINDS:
        raise InvalidRequest(f"A scope is one of {', '.join(KINDS)}.", param="scope")
    _check_text(ref.id)
    if kind in DYNAMIC:
        return _dynamic(session, kind, ref, organisation_id)
    if ref.project is not None and kind != "key":
        raise InvalidRequest(f"A {kind} is not looked for in a project.", param="project")
    if kind == "key":
        return _key(session, ref, organisation_id)
    if kind == "user":
        return _user(session, ref.id, organisation_id)
    if kind == "project":
        project = find_project(session, ref.id, organisation_id=organisation_id)
        return Scope(kind=kind, id=project.id, organisation_id=project.organisation_id)
    return _organisation(session, ref.id, organisation_id)


def names_of(session: Session, scopes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What people call scopes: by kind and id, the name of each that is still there."""
    wanted = set(scopes)
    places = {
        (anchor_of(scope_id) if kind in DYNAMIC else (kind, scope_id)) for kind, scope_id in wanted
    }
    ids = [scope_id for _, scope_id in places]
    queries = (
        ("key", select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_(ids))),
        ("project", select(Project.id, Project.name).where(Project.id.in_(ids))),
        (
            "organisation",
            select(Organisation.id, Organisation.name).where(Organisation.id.in_(ids)),
        ),
        (
            "user",
            select(Membership.id, User.email)
            .join(User, User.id == Membership.user_id)
            .where(Membership.id.in_(ids)),
        ),
    )
    found = {
        (kind, row[0]): str(row[1]) for kind, query in queries for row in session.execute(query)
    }
    names = {}
    for kind, scope_id in wanted:
        place = anchor_of(scope_id) if kind in DYNAMIC else (kind, scope_id)
        name = found.get(place, place[1])
        names[kind, scope_id] = f"{name}/{scope_id.partition('/')[2]}" if kind in DYNAMIC else name
    return names


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The id must be text.", param="id") from None
    if not text.strip() or _CONTROL.search(text):
        raise InvalidRequest("The id is empty or has control characters.", param="id")


def _dynamic(session: Session, kind: str, ref: ScopeRef, organisation_id: str | None) -> Scope:
    if kind == "tag":
        name, equals, value = ref.id.partition("=")
        if not equals or not value or not _TAG_NAME.fullmatch(name):
            raise InvalidRequest("Write a tag as NAME=VALUE, as in team=red.", param="id")
    else:
        value = ref.id
    if len(value) > CALLER_TEXT:
        raise InvalidRequest(f"The id has at most {CALLER_TEXT} characters.", param="id")
    if ref.project is not None:
        _check_text(ref.project)
        project = find_project(session, ref.project, organisation_id=organisation_id)
        anchor, home = project.id, project.organisation_id
    else:
        anchor = home = organisation_id or default_organisation(session).id
    return Scope(kind=kind, id=f"{anchor}/{ref.id}", organisation_id=home)


def _key(session: Session, ref: ScopeRef, organisation_id: str | None) -> Scope:
    query = (
        select(ApiKey, Project.organisation_id)
        .join(Project, Project.id == ApiKey.project_id)
        .where(ApiKey.name != SELF_CHECK)
    )
    if organisation_id is not None:
        query = query.where(Project.organisation_id == organisation_id)
    if ref.project is not None:
        _check_text(ref.project)
        project = find_project(session, ref.project, organisation_id=organisation_id)
        query = query.where(ApiKey.project_id == project.id)
    found = session.execute(query.where(ApiKey.id == ref.id)).all()
    if not found:
        named = query.where(ApiKey.name == ref.id, ApiKey.revoked_at.is_(None))
        found = session.execute(named.order_by(ApiKey.id)).all()
    if not found:
        raise NotFound(
            f"There is no key {ref.id[:_SHOWN]!r}.", hint="`torana keys list` shows ids and names."
        )
    if len(found) > 1:
        ids = ", ".join(row[0].id for row in found[:5])
        raise Conflict(f"{len(found)} keys are called {ref.id!r}.", hint=f"Use an id: {ids}.")
    key, home = found[0]
    return Scope(kind="key", id=key.id, organisation_id=home)


def _user(session: Session, text: str, organisation_id: str | None) -> Scope:
    home = organisation_id or default_organisation(session).id
    membership = session.scalar(
        select(Membership)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.organisation_id == home,
            (User.email == text.strip().lower()) | (User.id == text) | (Membership.id == text),
        )
    )
    if membership is None:
        raise NotFound(
            f"There is no user {text[:_SHOWN]!r} in this organisation.",
            hint="Name a user by e-mail; `torana users list` shows them.",
        )
    return Scope(kind="user", id=membership.id, organisation_id=home)


def _organisation(session: Session, text: str, organisation_id: str | None) -> Scope:
    query = select(Organisation.id).where((Organisation.id == text) | (Organisation.name == text))
    if organisation_id is not None:
        query = query.where(Organisation.id == organisation_id)
    found = session.scalar(query)
    if found is None:
        raise NotFound(f"There is no organisation {text[:_SHOWN]!r}.")
    return Scope(kind="organisation", id=found, organisation_id=found)
