"""Statements compiled once and run on the driver's own connection.

The teller settles thousands of rows a second; SQLAlchemy's per-execution work would cost more than
the database does. Here a Core statement is compiled once per process, so that the tables stay the
one description of columns and types, and only the types' own conversions run per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.sql.expression import ClauseElement


class Prepared:
    """One statement in a driver's SQL.

    Attributes:
        sql: the text, with named parameters in the driver's style.
    """

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        binds: Mapping[str, Any] = compiled.binds  # type: ignore[attr-defined]
        self._converters: list[tuple[str, Callable[[Any], Any]]] = []
        for name, bind in binds.items():
            converter = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if converter is not None:
                self._converters.append((name, converter))

    def bind(self, row: dict[str, Any]) -> dict[str, Any]:
        """Convert a row's values for the driver, in place."""
        for name, convert in self._converters:
            row[name] = convert(row[name])
        return row
