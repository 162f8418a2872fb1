"""What the suite has found, as a table: who calls whom, and what of each scenario is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.conformance import scenarios

CALLERS = ("chat", "responses", "messages")
COLUMNS = (*(scenario.name for scenario in scenarios.SCENARIOS), scenarios.BROKEN.name)
TITLES = {
    "chat": "OpenAI chat",
    "responses": "OpenAI responses",
    "messages": "Anthropic messages",
}

Cell = tuple[str, str, str]
"""Caller, upstream, scenario."""


@dataclass
class Table:
    """What has passed.

    Attributes:
        cells: with what `x-torana-dropped` named in any of their calls.
        older: names and versions of the older lines that have gone through their tool loops.
    """

    cells: dict[Cell, tuple[str, ...]] = field(default_factory=dict)
    older: set[str] = field(default_factory=set)

    def add(self, caller: str, upstream: str, scenario: str, dropped: Iterable[str]) -> None:
        """A cell has passed.

        Args:
            caller, upstream, scenario: the cell.
            dropped: names; those that only the ledger had end with `*`.
        """
        names = set(dropped)
        late = {name for name in names if f"{name}*" in names}
        self.cells[caller, upstream, scenario] = tuple(sorted(names - late))

    @property
    def whole(self) -> bool:
        """Whether every cell is there."""
        return len(self.cells) == len(CALLERS) ** 2 * len(COLUMNS)

    def lines(self) -> list[str]:
        """The table in Markdown."""
        head = ["caller", "upstream", *COLUMNS]
        rows = [
            [TITLES[caller], TITLES[upstream], *self._row(caller, upstream)]
            for caller in CALLERS
            for upstream in CALLERS
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [_line(head, widths), _line(["-" * width for width in widths], widths)]
        return lines + [_line(row, widths) for row in rows]

    def _row(self, caller: str, upstream: str) -> list[str]:
        return [_cell(self.cells.get((caller, upstream, name))) for name in COLUMNS]


def _cell(dropped: tuple[str, ...] | None) -> str:
    if dropped is None:
        return "?"
    return f"lossy: {', '.join(dropped)}" if dropped else "ok"


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
