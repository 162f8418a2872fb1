"""Guardrails as parts of a file."""

from __future__ import annotations

import msgspec

from torana.admin.apply.difference import Change, compare, words
from torana.admin.apply.locator import Path
from torana.admin.apply.part import Need, Part
from torana.admin.guardrails import (
    GuardrailChange,
    NewGuardrail,
    add_guardrail,
    read_guardrail,
    update_guardrail,
)
from torana.admin.tenancy import find_project
from torana.db.session import Database
from torana.errors import Conflict, NotFound


class GuardrailPart(Part):
    """`[[guardrails]]`."""

    kind = "guardrail"

    def __init__(self, wanted: NewGuardrail, path: Path) -> None:
        super().__init__(wanted.name, path)
        self._wanted = wanted

    @property
    def needs(self) -> frozenset[Need]:
        """The projects that it is for."""
        return frozenset(("project", name) for name in self._wanted.projects or ())

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        wanted = self._wanted
        try:
            view = read_guardrail(database, self.name)
        except NotFound:
            models = "all models" if wanted.models is None else words(wanted.models)
            return self.added(f"{wanted.kind}, {wanted.where}, {models}")
        if view.kind != wanted.kind:
            raise Conflict(
                f"The kind of the guardrail {self.name!r} is {view.kind} and can't become "
                f"{wanted.kind}.",
                hint=f"Remove it first (`torana guardrails remove {self.name}`).",
                param="kind",
            )
        before = NewGuardrail(
            name=view.name,
            kind=view.kind,
            models=None if view.models is None else tuple(view.models),
            projects=None if view.projects is None else tuple(view.projects),
            where=view.where,
            order=view.order,
            options=view.options,
            enabled=view.enabled,
        )
        return self.changed(compare(before, self._by_names(database)))

    def write(self, database: Database) -> None:
        """See `Part`."""
        wanted = self._wanted
        try:
            read_guardrail(database, self.name)
        except NotFound:
            add_guardrail(database, wanted)
            return
        fields = GuardrailChange.__struct_fields__
        update_guardrail(
            database, self.name, GuardrailChange(**{name: getattr(wanted, name) for name in fields})
        )

    def _by_names(self, database: Database) -> NewGuardrail:
        """What is wanted, with the names of projects for which the file has ids."""
        wanted = self._wanted
        if wanted.projects is None:
            return wanted
        with database.read() as session:
            names = [find_project(session, name).name for name in wanted.projects]
        return msgspec.structs.replace(wanted, projects=tuple(dict.fromkeys(names)))
