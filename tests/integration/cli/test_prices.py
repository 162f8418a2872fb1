"""`torana prices` and `torana models resume`, as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.integration.cli.runners import InProcess
from tests.integration.conftest import copied_file
from torana.core.ids import new_id
from torana.db.models import SuspendedTarget
from torana.db.session import Database


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    with copied_file(sqlite_template, tmp_path) as made:
        yield made


@pytest.fixture
def here(database: Database, tmp_path: Path) -> InProcess:
    return InProcess(tmp_path, {"TORANA_DATABASE_URL": f"sqlite:///{database.url.database}"})


def test_prices_are_listed_as_exact_dollars(here):
    text = here.run("prices", "list", "--provider", "openai", "--model", "gpt-4o-mini").text()
    heading, line = text.splitlines()
    assert heading.split() == [
        "PROVIDER",
        "MODEL",
        "INPUT",
        "CACHED",
        "OUTPUT",
        "MORE",
        "SOURCE",
        "SINCE",
        "NOW",
    ]
    assert line.split()[:5] == ["openai", "gpt-4o-mini", "0.15", "0.075", "0.6"]
    (row,) = here.run("prices", "list", "--model", "gpt-4o-mini-2024-07-18", "--json").json()
    assert row["price"]["usd"]["cached"] == "0.075"
    assert (row["source"], row["in_force"]) == ("list", True)


def test_a_price_is_set_listed_with_its_history_and_reset(here):
    arguments = ["--input", "1.5", "--output", "6", "--cached", "0.15", "--batch-percent", "50"]
    tiers = ["--tier", "200000:3:9", "--tier", "400000:6:18:0.6"]
    said = here.run("prices", "set", "openai/gpt-4o", *arguments, *tiers).text()
    assert said == (
        "openai/gpt-4o costs 1.5 USD per million tokens of input and 6 of output from now on.\n"
    )
    (row,) = here.run(
        "prices", "list", "--model", "gpt-4o", "--provider", "openai", "--json"
    ).json()
    price = row["price"]
    assert row["source"] == "operator"
    assert price["usd"]["cached"] == "0.15"
    assert price["usd"]["reasoning"] == "6"
    assert [tier["above"] for tier in price["tiers"]] == [200_000, 400_000]
    assert [tier["usd"]["cached"] for tier in price["tiers"]] == ["3", "0.6"]
    assert price["batch_percent"] == 50
    line = here.run("prices", "list", "--model", "gpt-4o", "--provider", "openai").text()
    assert ">200000 >400000 batch 50%" in line
    assert here.run("prices", "update").text() == "0 prices changed.\n"
    back = here.run("prices", "reset", "openai/gpt-4o").text()
    assert back == "openai/gpt-4o costs 2.5 / 10, as on the list.\n"
    history = here.run(
        "prices", "list", "--model", "gpt-4o", "--provider", "openai", "--history", "--json"
    ).json()
    assert [one["source"] for one in history] == ["list", "operator", "list"]


def test_a_price_may_begin_later_and_may_be_for_all_models(here):
    arguments = ["--input", "1", "--output", "2", "--from", "2090-01-01T00:00:00+02:00"]
    row = here.run("prices", "set", "openai/*", *arguments, "--json").json()
    assert (row["valid_from"], row["in_force"]) == ("2089-12-31T22:00:00.000Z", False)
    assert here.run("prices", "reset", "openai/*").text() == (
        "openai/* has no price now: the list does not know it.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpt-4o", "--input", "1", "--output", "1"], "PROVIDER/MODEL"),
        (["nobody/x", "--input", "1", "--output", "1"], "no provider 'nobody'"),
        (["openai/x", "--input", "-1", "--output", "1"], "input: '-1' is not an amount"),
        (["openai/x", "--input", "1", "--output", "free"], "output: 'free' is not an amount"),
        (["openai/x", "--input", "1", "--output", "1", "--tier", "1:2"], "ABOVE:INPUT:OUTPUT"),
        (["openai/x", "--input", "1", "--output", "1", "--tier", "a:2:3"], "ABOVE:INPUT:OUTPUT"),
        (["openai/x", "--input", "1", "--output", "1", "--from", "soon"], "not an instant"),
        (["openai/x", "--input", "1", "--output", "1", "--from", "2020-01-01"], "in the past"),
        (["openai/x", "--input", "1", "--output", "1", "--batch-percent", "101"], "percentage"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_in_one_line(here, arguments, said):
    assert said in here.run("prices", "set", *arguments).refusal()


def test_a_list_from_a_file_is_tried_and_then_applied(here):
    source = {"id": "gpt-new", "match": {"equals": "gpt-new"}, "prices": {"input_mtok": 3}}
    path = here.folder / "data.json"
    path.write_bytes(msgspec.json.encode([{"id": "openai", "models": [source]}]))
    dry = here.run("prices", "update", "--file", str(path), "--dry-run").text()
    assert "gpt-new" in dry
    assert dry.endswith("1 prices would change.\n")
    assert here.run("prices", "list", "--model", "gpt-new", "--json").json() == []
    (change,) = here.run("prices", "update", "--file", str(path), "--json").json()
    assert (change["before"], change["after"]["usd"]["input"]) == (None, "3")
    (row,) = here.run("prices", "list", "--model", "gpt-new", "--json").json()
    assert row["source"] == "file"


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b'{"providers": {"openai": 1}}'])
def test_a_bad_file_is_refused_and_changes_nothing(here, content):
    before = here.run("prices", "list", "--history", "--json").json()
    path = here.folder / "bad.json"
    path.write_bytes(content)
    assert "price list" in here.run("prices", "update", "--file", str(path)).refusal()
    assert here.run("prices", "list", "--history", "--json").json() == before


def test_a_suspended_model_is_resumed(here, database):
    with database.write() as session:
        session.add(
            SuspendedTarget(
                provider="openai",
                model="gpt-4o",
                call_id=new_id("req"),
                bound_nano=1,
                cost_nano=2,
                suspended_at=datetime.now(UTC),
            )
        )
    assert here.run("models", "resume", "openai/gpt-4o").text().startswith("Resumed openai/gpt-4o.")
    assert "not suspended" in here.run("models", "resume", "openai/gpt-4o").refusal()
    assert "PROVIDER/MODEL" in here.run("models", "resume", "gpt-4o").refusal()
