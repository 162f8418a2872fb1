"""The names of what a dialect could not hold or say.

They go into a header and into the ledger, and may have a caller's or a provider's words in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torana.dialects.costs import AND_MORE

MAX_NAMES = 32
MAX_NAME = 80


class Losses:
    """Names of losses, each once and in their order."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> bool:
        """Note a name; what could not stand in a header is replaced.

        Returns:
            Whether `names` has become longer.
        """
        names = self._names
        if name in names:
            return False
        short = "".join(c if " " < c <= "~" and c != "," else "_" for c in name[:MAX_NAME])
        if short in names or len(names) > MAX_NAMES:
            return False
        names[short if len(names) < MAX_NAMES else AND_MORE] = None
        return True

    def add_if(self, name: str, lost: object) -> None:
        """Note a name if there is something to lose."""
        if lost:
            self.add(name)

    def rest(self, given: Mapping[str, Any], known: frozenset[str], place: str) -> None:
        """Note the members of an object that are neither known nor null.

        Args:
            given: the object.
            known: names of members that are read, or that say nothing.
            place: what the names of the others begin with, such as `tools[]`.
        """
        if known.issuperset(given):
            return
        for key, value in given.items():
            if key not in known and value is not None:
                self.add(f"{place}.{key}")

    @property
    def names(self) -> tuple[str, ...]:
        """All of them; the last is `...` where there were too many."""
        return tuple(self._names)
