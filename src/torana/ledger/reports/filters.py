"""Which calls a report is about, and the names of what it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from torana.db.models import ApiKey, LedgerEntry, Project, UsageRollup, User
from torana.errors import NotFound
from torana.ledger.tag_column import tag_of

Table: TypeAlias = type[LedgerEntry] | type[UsageRollup]
_AT_ONCE = 500
"""Ids of one statement: SQLite bounds how many parameters it takes."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Only calls of which every field given here has one of its values.

    Attributes:
        tags: pairs of a name and a value, all of which a call must have.
    """

    organisation_id: tuple[str, ...] = ()
    project_id: tuple[str, ...] = ()
    key_id: tuple[str, ...] = ()
    user_id: tuple[str, ...] = ()
    end_user: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    target_model: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """The conditions on the rows of a table."""
        found: list[ColumnElement[bool]] = []
        for name in self.__struct_fields__:
            values: tuple[Any, ...] = getattr(self, name)
            if name == "tags":
                found += [tag_of(table.tags, tag) == value for tag, value in values]
            elif len(values) == 1:
                found.append(getattr(table, name) == values[0])
            elif values:
                found.append(getattr(table, name).in_(values))
        return found


ALL = Filter()


def project_ids(session: Session, texts: Iterable[str]) -> tuple[str, ...]:
    """The ids of projects by name or id.

    Raises:
        NotFound: no project is called so.
    """
    return _ids(session, Project.id, Project.name, texts, "project")


def key_ids(session: Session, texts: Iterable[str]) -> tuple[str, ...]:
    """The ids of keys by name or id; keys of several projects may share a name.

    Raises:
        NotFound: no key is called so.
    """
    return _ids(session, ApiKey.id, ApiKey.name, texts, "key")


def user_ids(session: Session, texts: Iterable[str]) -> tuple[str, ...]:
    """The ids of users by e-mail address or id.

    Raises:
        NotFound: no user has it.
    """
    return _ids(session, User.id, User.email, texts, "user")


def _ids(
    session: Session, ids: Any, names: Any, texts: Iterable[str], noun: str
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        matches = session.scalars(select(ids).where(or_(ids == text, names == text))).all()
        if not matches:
            raise NotFound(f"There is no {noun} {text[:100]!r}.")
        found |= dict.fromkeys(matches)
    return tuple(found)


def names_of(session: Session, group: str, ids: Sequence[str]) -> Mapping[str, str]:
    """What people call these projects, keys or users; what is gone has no name any more."""
    columns: dict[str, tuple[Any, Any]] = {
        "project": (Project.id, Project.name),
        "key": (ApiKey.id, ApiKey.name),
        "user": (User.id, User.email),
    }
    column, name = columns[group]
    found: dict[str, str] = {}
    for at in range(0, len(ids), _AT_ONCE):
        rows = session.execute(select(column, name).where(column.in_(ids[at : at + _AT_ONCE])))
        found |= {row[0]: row[1] for row in rows}
    return found
