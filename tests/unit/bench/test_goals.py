"""What is made of measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from bench.driver import Result
from bench.goals import GATEWAY, SIMULATOR, Row, judge
from bench.measure import Measurement
from bench.percentiles import Summary
from bench.report import Run, lines, table, write
from bench.scenarios import CLAUDE, dialects


def summary(p50: float, p99: float) -> Summary:
    return Summary(count=10, mean=p50, p50=p50, p90=p99, p99=p99, max=p99)


def measurement(target: str, scenario: str, **values: Any) -> Measurement:
    p50, p99 = values.pop("p50", 1.0), values.pop("p99", 2.0)
    first = values.pop("first", p50)
    connections = values.pop("connections", 1)
    result = Result(
        requests=10,
        ok=10,
        statuses={"200": 10},
        seconds=1.0,
        rate=10.0,
        peak_open=connections,
        latency_ms=summary(p50, p99),
        ttft_ms=summary(first, p99),
    )
    return Measurement(
        target=target,
        scenario=scenario,
        title=scenario,
        connections=connections,
        result=result,
        cpu_ms={"web": values.get("cpu", 0.5), "postgres": 0.1},
        main_cpu_ms=values.get("cpu", 0.5),
        rss_start_mb=80.0,
        rss_middle_mb=81.0,
        rss_end_mb=82.0,
        rss_peak_mb=83.0,
        restarted=False,
        upstream_calls=10,
    )


def row(rows: list[Row], label: str) -> Row:
    (found,) = [each for each in rows if each.label == label]
    return found


def test_every_load_in_another_dialect_has_a_goal():
    loads = dialects(1.0)
    rows = judge([measurement(GATEWAY, load.name, connections=32) for load in loads], None)
    assert len([row for row in rows if row.verdict == "met"]) == len(loads) == 6
    assert {load.wanted.dialect for load in loads} == {"openai", "anthropic"}
    # What is answered in the other dialect is asked for by a model of the other provider.
    assert {load.model for load in loads if load.name.endswith("_to_anthropic")} == {CLAUDE}
    assert {load.model for load in loads if load.name.endswith("_to_openai")} == {None}


@pytest.mark.parametrize(("cpu", "verdict"), [(0.75, "met"), (0.76, "missed")])
def test_a_figure_is_met_up_to_its_goal(cpu, verdict):
    rows = judge([measurement(GATEWAY, "json_32", cpu=cpu)], None)
    assert row(rows, "JSON chat, 32 connections").verdict == verdict


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"restarted": True}, "process restarted"),
        ({"upstream_calls": 9}, "only 9 calls upstream"),
        ({"connections": 32}, "only 1 at once"),
        ({"result": Result(requests=1, failures={"cut": 1}, peak_open=1)}, "cut 1, no answer"),
    ],
)
def test_a_figure_from_wrong_answers_is_not_judged(flaw, words):
    flawed = replace(measurement(GATEWAY, "json_32"), **flaw)
    found = row(judge([flawed], None), "JSON chat, 32 connections")
    assert (found.verdict, found.note) == ("failed", words)


def test_added_latency_is_what_comes_on_top_of_the_simulators_median():
    rows = judge(
        [
            measurement(GATEWAY, "json_1", p50=3.25, p99=12.0),
            measurement(SIMULATOR, "json_1", p50=0.25, p99=9.0),
        ],
        None,
    )
    median = row(rows, "latency added at 1 connection, JSON, p50")
    assert (median.figure, median.verdict) == (3.0, "met")
    tail = row(rows, "latency added at 1 connection, JSON, p99")
    assert (tail.figure, tail.verdict) == (11.75, "missed")


def test_the_first_token_is_compared_by_its_own_time():
    rows = judge(
        [
            measurement(GATEWAY, "streams_100", p50=900.0, first=54.0),
            measurement(SIMULATOR, "streams_100", p50=800.0, first=50.0),
        ],
        None,
    )
    assert row(rows, "time to first token added at 100 open streams, p50").figure == 4.0


def test_without_measurements_nothing_is_judged():
    assert {each.verdict for each in judge([], None)} == {"not measured"}


def test_a_run_is_written_as_json_and_markdown_and_never_over_another(tmp_path):
    measurements = [measurement(GATEWAY, "json_32"), measurement(SIMULATOR, "json_32")]
    run = Run(
        day=date(2026, 11, 22),
        profile="quick",
        machine={"cores": 2},
        machine_name="amd-epyc-2c",
        versions={"python": "3.11"},
        commit="abc",
        ready_seconds=1.5,
        rows=judge(measurements, 1.5),
        measurements=measurements,
        upstream={},
    )
    first, second = write(run, tmp_path), write(run, tmp_path)
    assert first.name == "2026-11-22-amd-epyc-2c-quick.json"
    assert second.name == "2026-11-22-amd-epyc-2c-quick-2.json"
    assert first.with_suffix(".md").read_text().splitlines() == lines(run)
    assert any("`torana serve` ready" in line and "met" in line for line in lines(run))


def test_a_tables_columns_line_up():
    assert table(("a", "bb"), [["ccc", "d"]]) == ["| a   | bb |", "|-----|----|", "| ccc | d  |"]
