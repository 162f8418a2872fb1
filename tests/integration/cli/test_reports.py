"""`torana usage` and `torana ledger`, and the files that they write."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.runners import SECRET_KEY, InProcess
from tests.integration.ledger.reports.entries import Project, entry, identity, some
from torana.cli import ledger as ledger_command
from torana.core.money import format_usd
from torana.db.session import Database

SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def runner(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    url = shared_database.url.set(drivername=shared_database.url.get_backend_name())
    settings = {"TORANA_DATABASE_URL": url.render_as_string(hide_password=False)}
    settings["TORANA_SECRET_KEYS"] = SECRET_KEY
    return InProcess(tmp_path_factory.mktemp("cli"), settings)


@pytest.fixture(scope="module")
def rows(shared_database: Database) -> list[dict[str, Any]]:
    project = Project(shared_database)
    made = some(11, project.id, [SPRING])
    made.append(entry(project.id, SPRING, end_user='Zoë, "the\n1st"', cost_nano=2**60))
    made.append(entry(project.id, SPRING, attempts=[{"n": 1, "cost": 2**60}], first_byte_ms=7))
    project.add(*made)
    return sorted(made, key=identity)


def expected(row: dict[str, Any]) -> dict[str, Any]:
    renamed = {("request_id" if name == "call_id" else name): row[name] for name in row}
    return renamed | {"cost_usd": format_usd(row["cost_nano"])}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_csv_holds_the_ledger_exactly(runner: InProcess, rows: list[dict[str, Any]]):
    text = runner.run("ledger", "export", "--format", "csv").text()
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(read) == len(rows)
    for got, row in zip(read, rows, strict=True):
        want = expected(row)
        assert got.keys() == want.keys()
        for name, value in want.items():
            if isinstance(value, datetime):
                assert instant(got[name]) == value
            elif isinstance(value, dict | list):
                assert json.loads(got[name]) == value
            else:
                assert got[name] == ("" if value is None else str(value))


def test_json_lines_hold_the_ledger_exactly(
    runner: InProcess, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_command, "CHUNK", 7)
    said = runner.run("ledger", "export", "--format", "jsonl", "--out", "a.jsonl").text()
    assert said == f"Wrote {len(rows):,} entries to a.jsonl.\n"
    lines = (runner.folder / "a.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in lines]
    for got in read:
        got |= {name: instant(got[name]) for name in ("admitted_at", "posted_at")}
    assert read == [expected(row) for row in rows]


def test_parquet_holds_the_ledger_exactly(
    runner: InProcess, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    from pyarrow import parquet

    monkeypatch.setattr(ledger_command, "CHUNK", 50)
    runner.run("ledger", "export", "--format", "parquet", "--out", "a.parquet").text()
    read = parquet.read_table(runner.folder / "a.parquet").to_pylist()
    for got in read:
        got |= {name: json.loads(got[name]) for name in ("tags", "attempts")}
    assert read == [expected(row) for row in rows]
    assert list(runner.folder.glob(".*part")) == []


def test_an_export_of_a_period_holds_what_the_filters_leave(
    runner: InProcess, rows: list[dict[str, Any]]
):
    text = runner.run(
        *("ledger", "export", "--format", "jsonl", "--period", "2026-03-29"),
        *("--time-zone", "Europe/Berlin", "--model", "m1", "--tag", "team=blue"),
    ).text()
    start, end = (datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((28, 23), (29, 22)))
    wanted = [
        row["call_id"]
        for row in rows
        if start <= row["admitted_at"] < end
        and row["model"] == "m1"
        and row["tags"].get("team") == "blue"
    ]
    assert [json.loads(line)["request_id"] for line in text.splitlines()] == wanted


def test_usage_is_the_same_in_every_format(runner: InProcess, rows: list[dict[str, Any]]):
    asked = ("usage", "--by", "key", "--by", "tag:team", "--period", "2026-03", "--compare")
    plain = runner.run(*asked, "--format", "json").json()
    assert sum(row["cost_nano"] for row in plain) == sum(row["cost_nano"] for row in rows)
    lines = runner.run(*asked, "--format", "jsonl").text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {name: row[name] for name in json.loads(lines[0])} for row in plain
    ]
    read = list(csv.DictReader(io.StringIO(runner.run(*asked, "--format", "csv").text())))
    assert [(row["key"], row["cost_nano"], row["change_usd"]) for row in read] == [
        (row["key"], str(row["cost_nano"]), row["change_usd"]) for row in plain
    ]
    runner.run(*asked, "--format", "parquet", "--out", "usage.parquet").text()
    from pyarrow import parquet

    table = parquet.read_table(runner.folder / "usage.parquet").to_pylist()
    assert [row["cost_nano"] for row in table] == [row["cost_nano"] for row in plain]


def test_a_table_sets_money_right_and_ends_in_a_total(
    runner: InProcess, rows: list[dict[str, Any]]
):
    head, *lines, rule, total = (
        runner.run("usage", "--by", "model", "--by", "day", "--model", "m1").text().splitlines()
    )
    assert head.split() == ["MODEL", "DAY", "CALLS", "IN", "OUT", "COST", "USD"]
    assert set(rule) == {"-", " "}
    assert total.startswith("TOTAL ")
    assert len({len(line) for line in (head, *lines, total)}) == 1
    spent = sum(row["cost_nano"] for row in rows if row["model"] == "m1")
    assert total.split()[-1].replace(",", "").rstrip("0") == format_usd(spent).rstrip("0")


def test_entries_are_listed_and_shown(runner: InProcess, rows: list[dict[str, Any]]):
    page = runner.run("ledger", "list", "--limit", "2", "--json").json()
    assert [row["request_id"] for row in page["data"]] == [
        row["call_id"] for row in reversed(rows[-2:])
    ]
    more = runner.run("ledger", "list", "--cursor", page["next_cursor"], "--limit", "1", "--json")
    assert more.json()["data"][0]["request_id"] == rows[-3]["call_id"]
    table = runner.run("ledger", "list", "--limit", "3", "--status", "ok").text()
    assert "There are more: --cursor" in table
    corrected = next(row for row in rows if row["seq"] == 1)
    call = runner.run("ledger", "show", corrected["call_id"], "--json").json()
    assert [entry["seq"] for entry in call["entries"]] == [0, 1]
    assert call["cost_nano"] == sum(entry["cost_nano"] for entry in call["entries"])
    shown = runner.run("ledger", "show", corrected["call_id"]).text()
    assert f"cost of the call: {call['cost_usd']} USD" in shown


def test_rollups_are_made_anew_for_a_time(runner: InProcess, rows: list[dict[str, Any]]):
    done = runner.run(
        "ledger", "rebuild", "--since", "2026-03-28", "--until", "2026-03-30", "--json"
    )
    assert done.json()["rows"] > 0
    assert done.json()["changed"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("usage", "--period", "soon"), "2026-11-01/P1M"),
        (("usage", "--period", "2026-11", "--since", "2026-11-01"), "--since"),
        (("usage", "--since", "2026-99-01"), "since"),
        (("usage", "--time-zone", "Mars"), "time_zone"),
        (("usage", "--compare"), "--period"),
        (("usage", "--project", "nobody's"), "no project"),
        (("usage", "--key", "nobody's"), "no key"),
        (("usage", "--user", "nobody"), "no user"),
        (("usage", "--tag", "red"), "NAME=VALUE"),
        (("usage", "--format", "parquet"), "--out"),
        (("usage", "--format", "json", "--out", "x"), "--out"),
        (("ledger", "export", "--format", "parquet"), "--out"),
        (("ledger", "export", "--out", "no/such/folder/a.csv"), "can't be written"),
        (("ledger", "list", "--min-cost-usd", "cheap"), "min-cost-usd"),
        (("ledger", "list", "--cursor", "x"), "cursor"),
        (("ledger", "show", "req_nothing"), "no call"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_says_why(
    runner: InProcess, arguments: tuple[str, ...], words: str
):
    assert words in runner.run(*arguments).refusal()


def test_nothing_is_left_of_a_file_that_could_not_be_finished(runner: InProcess):
    folder = runner.folder / "taken"
    folder.mkdir(exist_ok=True)
    runner.run("ledger", "export", "--out", "taken").refusal()
    assert [path for path in Path(runner.folder).iterdir() if path.name.endswith(".part")] == []
