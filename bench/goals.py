"""The goals, and what a run's measurements say about them.

A goal is judged only where its answers were right; no test asserts on these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.measure import Measurement

Share = Literal["p50", "p99"]
Verdict = Literal["met", "missed", "failed", "not measured"]

GATEWAY = "torana"
SIMULATOR = "simulator"
JSON_CPU_MS = 0.75
STREAM_CPU_MS = 1.2
JSON_TRANSLATED_CPU_MS = 1.3
STREAM_TRANSLATED_CPU_MS = 3.0
ADDED_P50_MS = 3.0
ADDED_P99_MS = 10.0
ADDED_FIRST_TOKEN_MS = 6.0
STREAMS_RSS_MB = 200.0
SOAK_RSS_MB = 140.0
READY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its goal; a figure has no more than `goal` of `unit` when it is met."""

    label: str
    figure: float | None
    goal: float
    unit: str
    verdict: Verdict
    note: str = ""


class Book:
    """A run's measurements by target and scenario."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._found = {(each.target, each.scenario): each for each in measurements}

    def row(
        self,
        label: str,
        scenario: str,
        figure: float | None,
        goal: float,
        unit: str,
        note: str = "",
    ) -> Row:
        """Judge a figure that comes from the gateway's measurement of a scenario."""
        measured = self.find(scenario)
        if measured is None:
            return Row(label, None, goal, unit, "not measured", note)
        if not measured.right or figure is None:
            return Row(label, figure, goal, unit, "failed", measured.trouble)
        return Row(label, figure, goal, unit, "met" if figure <= goal else "missed", note)

    def find(self, scenario: str, target: str = GATEWAY) -> Measurement | None:
        """The measurement of a scenario, if it was made."""
        return self._found.get((target, scenario))

    def cpu(self, scenario: str) -> float | None:
        """CPU milliseconds of the web processes for each request."""
        measured = self.find(scenario)
        return None if measured is None else measured.main_cpu_ms

    def added(self, scenario: str, share: Share, *, first: bool) -> float | None:
        """How much later than straight from the simulator, in milliseconds.

        The simulator's median is taken off in both cases: its own p99 is not the gateway's gain.
        """
        measured, direct = self.find(scenario), self.find(scenario, SIMULATOR)
        if measured is None or direct is None:
            return None
        ours = measured.result.ttft_ms if first else measured.result.latency_ms
        theirs = direct.result.ttft_ms if first else direct.result.latency_ms
        if ours is None or theirs is None:
            return None
        return round((ours.p50 if share == "p50" else ours.p99) - theirs.p50, 3)


def judge(measurements: Sequence[Measurement], ready_seconds: float | None) -> list[Row]:
    """All rows of the table of goals, also those that this run could not fill."""
    book = Book(measurements)
    many, soak = book.find("streams_many"), book.find("soak")
    streams = f"{many.result.ok:,} complete, {many.result.peak_open:,} at once" if many else ""
    soaked = ""
    if soak:
        course = f"{soak.rss_start_mb} -> {soak.rss_middle_mb} -> {soak.rss_end_mb} MB"
        soaked = f"in {soak.result.ok:,} requests: {course}"
    ready = Row("`torana serve` ready", ready_seconds, READY_SECONDS, "s", "not measured")
    if ready_seconds is not None:
        met: Verdict = "met" if ready_seconds <= READY_SECONDS else "missed"
        ready = Row(ready.label, ready_seconds, READY_SECONDS, "s", met)
    return [
        *_cpu_rows(book),
        *_latency_rows(book),
        book.row(
            "time to first token added at 100 open streams, p50",
            "streams_100",
            book.added("streams_100", "p50", first=True),
            ADDED_FIRST_TOKEN_MS,
            "ms",
        ),
        book.row(
            "open streams in one process, memory",
            "streams_many",
            many.rss_peak_mb if many else None,
            STREAMS_RSS_MB,
            "MB",
            streams,
        ),
        book.row(
            "memory of a web process after a soak",
            "soak",
            soak.rss_end_mb if soak else None,
            SOAK_RSS_MB,
            "MB",
            soaked,
        ),
        ready,
    ]


def _cpu_rows(book: Book) -> list[Row]:
    return [
        book.row(label, scenario, book.cpu(scenario), goal, "CPU ms/request")
        for label, scenario, goal in (
            ("JSON chat, 32 connections", "json_32", JSON_CPU_MS),
            ("stream of 20 chunks, 32 connections", "stream_32", STREAM_CPU_MS),
            ("JSON, messages", "json_messages", JSON_CPU_MS),
            ("stream of 20 chunks, messages", "stream_messages", STREAM_CPU_MS),
            ("JSON, chat to messages", "json_to_anthropic", JSON_TRANSLATED_CPU_MS),
            ("stream, chat to messages", "stream_to_anthropic", STREAM_TRANSLATED_CPU_MS),
            ("JSON, messages to chat", "json_to_openai", JSON_TRANSLATED_CPU_MS),
            ("stream, messages to chat", "stream_to_openai", STREAM_TRANSLATED_CPU_MS),
        )
    ]


def _latency_rows(book: Book) -> list[Row]:
    shares: tuple[tuple[Share, float], ...] = (("p50", ADDED_P50_MS), ("p99", ADDED_P99_MS))
    return [
        book.row(
            f"latency added at 1 connection, {shape}, {share}",
            scenario,
            book.added(scenario, share, first=False),
            goal,
            "ms",
        )
        for shape, scenario in (("JSON", "json_1"), ("stream", "stream_1"))
        for share, goal in shares
    ]
