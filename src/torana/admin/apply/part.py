"""A part of a file: one provider, one budget and so on, which can be compared and written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torana.admin.apply.difference import Change, Difference
from torana.admin.apply.locator import Path
from torana.admin.apply.problems import Problem, steps_of
from torana.admin.scopes import ScopeRef
from torana.db.session import Database
from torana.errors import ToranaError

Need = tuple[str, str]
"""Kind and name of another part."""


class Part(ABC):
    """One thing that a file wants.

    Attributes:
        kind: what it is, for people.
        own_names: what errors call its keys, where files call them otherwise.
        name: what people call this one.
        path: where it stands.
    """

    kind: ClassVar[str]
    own_names: ClassVar[dict[str, str]] = {}

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    @property
    def scope(self) -> ScopeRef | None:
        """Whose account it writes to, if it does."""
        return None

    @property
    def needs(self) -> frozenset[Need]:
        """What else must be there first; when the file's own is refused, this is not tried."""
        return frozenset()

    @abstractmethod
    def compare(self, database: Database) -> Change | None:
        """How it differs from what there is; None when it does not.

        Raises:
            ToranaError: it can't be as the file wants it.
        """

    @abstractmethod
    def write(self, database: Database) -> None:
        """Make it as the file wants it; `compare` has found that it is not.

        Raises:
            ToranaError: it can't be as the file wants it.
        """

    def problem(self, error: ToranaError) -> Problem:
        """An error of the above as a problem of the file."""
        param = self.own_names.get(error.param or "", error.param or "")
        return Problem((*self.path, *steps_of(param)), error.public_message)

    def added(self, about: str = "") -> Change:
        """The change that makes it."""
        return Change(action="add", kind=self.kind, name=self.name, about=about)

    def changed(self, differences: tuple[Difference, ...]) -> Change | None:
        """The change that these differences ask for."""
        if not differences:
            return None
        return Change(action="change", kind=self.kind, name=self.name, differences=differences)
