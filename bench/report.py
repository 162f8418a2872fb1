"""A run's figures as tables for eyes and as JSON for programs.

The same lines go to the terminal and, in Markdown, into the file beside the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bench.goals import Row
from bench.measure import Measurement

GOAL_HEAD = ("figure", "measured", "goal", "verdict", "note")
MEASUREMENT_HEAD = (
    *("target", "load", "conns", "answers", "req/s", "p50 ms", "p99 ms", "first p50 ms"),
    *("CPU ms/req", "others' CPU ms/req", "peak MB", "wrong"),
)
ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run leaves behind."""

    day: date
    profile: str
    machine: Mapping[str, object]
    machine_name: str
    versions: Mapping[str, str]
    commit: str
    ready_seconds: float | None
    rows: Sequence[Row]
    measurements: Sequence[Measurement]
    upstream: Mapping[str, Any]

    def as_json(self) -> str:
        """The run as an indented JSON object."""
        values = asdict(self)
        values["day"] = self.day.isoformat()
        return json.dumps(values, indent=1) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns also line up on a terminal."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return [line(head), f"|{'|'.join('-' * (width + 2) for width in widths)}|", *map(line, rows)]


def lines(run: Run) -> list[str]:
    """The whole report as Markdown."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    report = [
        f"# Measurements of {run.day.isoformat()} ({run.profile} run)",
        "",
        f"Machine: {machine}. Driver, simulator, database and gateway share it.",
        f"Versions: {versions}. Commit {run.commit}.",
        "CPU is user + system time of a target's processes for each right answer; of Torana's,",
        "the web processes are the figure, and the others are listed beside it.",
        "",
    ]
    if any(row.verdict != "not measured" for row in run.rows):
        report += ["## Goals", "", *table(GOAL_HEAD, [_goal_cells(row) for row in run.rows]), ""]
    report += [
        "## Loads",
        "",
        *table(MEASUREMENT_HEAD, [_measurement_cells(each) for each in run.measurements]),
    ]
    return report


def write(run: Run, folder: Path) -> Path:
    """Write `<date>-<machine>.json` and `.md`, never over an older run; return the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{run.day.isoformat()}-{run.machine_name}"
    if run.profile != "full":
        stem += f"-{run.profile}"
    path, number = folder / f"{stem}.json", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    path.write_text(run.as_json())
    path.with_suffix(".md").write_text("\n".join(lines(run)) + "\n")
    return path


def _number(value: float | None, digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:,.{digits}f}"


def _goal_cells(row: Row) -> list[str]:
    measured = ABSENT if row.figure is None else f"{row.figure:g} {row.unit}"
    return [row.label, measured, f"<= {row.goal:g} {row.unit}", row.verdict, row.note]


def _measurement_cells(each: Measurement) -> list[str]:
    result = each.result
    main = each.main_cpu_ms
    others = [f"{role} {_number(cpu, 3)}" for role, cpu in each.cpu_ms.items()][1:]
    return [
        each.target,
        each.title,
        str(each.connections),
        f"{result.ok:,}",
        _number(result.rate, 0),
        _number(result.latency_ms.p50 if result.latency_ms else None),
        _number(result.latency_ms.p99 if result.latency_ms else None),
        _number(result.ttft_ms.p50 if result.ttft_ms else None),
        _number(main, 3),
        ", ".join(others) or ABSENT,
        _number(each.rss_peak_mb, 0) if main is not None else ABSENT,
        each.trouble or "0",
    ]
