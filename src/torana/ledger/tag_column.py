"""Tags as SQL expressions that both databases understand."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from torana.db.models.base import JsonColumn


class tag_value(FunctionElement[str]):  # noqa: N801 -- named as SQL functions are
    """`tag_value(table.tags, name)`: the tag's value, NULL where a call does not have it."""

    type = String()
    inherit_cache = True


def tag_of(tags: Any, name: str) -> ColumnElement[Any]:
    """The value of the tag `name` in a column of tags.

    A caller chooses the name, so it is always a parameter, and never part of a JSON path.
    """
    return tag_value(tags, bindparam(None, name, type_=String(), unique=True))


@compiles(tag_value)
def _in_postgres(element: tag_value, compiler: SQLCompiler, **options: Any) -> str:
    column, name = element.clauses
    return f"({compiler.process(column, **options)} ->> {compiler.process(name, **options)})"


@compiles(tag_value, "sqlite")
def _in_sqlite(element: tag_value, compiler: SQLCompiler, **options: Any) -> str:
    column, name = element.clauses
    tags, key = compiler.process(column, **options), compiler.process(name, **options)
    return f"(SELECT value FROM json_each({tags}) WHERE key = {key})"  # noqa: S608 -- compiled SQL


class canonical_tags(FunctionElement[Any]):  # noqa: N801
    """`canonical_tags(table.tags)`: equal for equal tags, in whatever order they were written."""

    type = JsonColumn
    inherit_cache = True


@compiles(canonical_tags)
def _document(element: canonical_tags, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.process(*element.clauses, **options))  # jsonb keeps no order


@compiles(canonical_tags, "sqlite")
def _sorted_text(element: canonical_tags, compiler: SQLCompiler, **options: Any) -> str:
    tags = compiler.process(*element.clauses, **options)
    return (
        "(SELECT json_group_object(key, value) FROM "  # noqa: S608 -- compiled SQL
        f"(SELECT key, value FROM json_each({tags}) ORDER BY key))"
    )
