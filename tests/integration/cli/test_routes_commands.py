"""`torana models route` and what belongs to it, as they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.runners import SECRET_KEY, InProcess
from tests.integration.conftest import copied_file
from torana.cli.route_set import read_target
from torana.db.session import Database
from torana.errors import InvalidRequest
from torana.routing.routes import RouteTarget, When


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    with copied_file(sqlite_template, tmp_path) as made:
        yield made


@pytest.fixture
def here(database: Database, tmp_path: Path) -> InProcess:
    settings = {
        "TORANA_DATABASE_URL": f"sqlite:///{database.url.database}",
        "TORANA_SECRET_KEYS": SECRET_KEY,
    }
    return InProcess(tmp_path, settings)


def test_a_route_is_set_listed_and_removed(here):
    said = here.run(
        *("models", "route", "fast", "--strategy", "weighted"),
        *("--target", "openai/gpt-4o-mini,weight=3", "--target", "anthropic/claude-x"),
        *("--target", "local/smollm2-135m,priority=2"),
    ).text()
    assert said == (
        "fast leads to openai/gpt-4o-mini (weight 3) or anthropic/claude-x (weight 1), "
        "then local/smollm2-135m (weight 1).\n"
    )
    listed = here.run("models", "routes", TORANA_ECHO="true").text().splitlines()
    assert listed[0].split() == ["NAME", "STRATEGY", "TARGETS", "STICKY", "CACHE", "ENABLED"]
    assert [line.split()[0] for line in listed[1:]] == ["echo", "fast"]
    assert here.run("models", "remove", "fast").text() == "Removed the route fast.\n"
    assert here.run("models", "routes", "--json").json() == []
    assert "no route 'fast'" in here.run("models", "remove", "fast").refusal()


def test_all_that_a_route_can_say_can_be_typed(here):
    row = here.run(
        *("models", "route", "a/b", "--sticky", "--attempts", "2", "--disconnect", "cancel"),
        *("--connect-seconds", "1.5", "--first-byte-seconds", "2", "--idle-seconds", "3"),
        *("--total-seconds", "60", "--cache-seconds", "300", "--cache-scope", "organisation"),
        *("--cache-max-bytes", "1000", "--disabled", "--target", "openai/gpt-4o,region=eu"),
        "--json",
    ).json()
    assert row["deadlines"] == {"connect": 1.5, "first_byte": 2, "idle": 3, "total": 60}
    assert row["cache"] == {"seconds": 300, "scope": "organisation", "max_bytes": 1000}
    assert (row["sticky"], row["attempts"], row["disconnect"]) == (True, 2, "cancel")
    assert (row["enabled"], row["targets"][0]["region"]) == (False, "eu")
    assert here.run("models", "routes", "--json").json() == [row]
    assert here.run("models", "remove", "a/b", "--json").json() == row


def test_what_is_not_said_again_is_as_its_default_says(here):
    target = ("--target", "openai/gpt-4o")
    assert here.run("models", "route", "x", *target, "--sticky", "--disabled").status == 0
    row = here.run("models", "route", "x", *target, "--json").json()
    assert (row["sticky"], row["enabled"]) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--target"),
        (("--target", "gpt-4o"), "is not PROVIDER/MODEL"),
        (("--target", "openai/x,colour=red"), "colour=red"),
        (("--target", "openai/x,weight=heavy"), "whole number"),
        (("--target", "openai/x", "--strategy", "luck"), "least_latency"),
        (("--target", "openai/x", "--cache-scope", "project"), "--cache-seconds"),
    ],
)
def test_what_can_not_be_read_is_a_mistake(here, arguments, words):
    refused = here.run("models", "route", "x", *arguments)
    assert (refused.status, words in refused.err) == (2, True), refused


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nobody/x", "no provider 'nobody'"),
        ("openai/x,weight=1001", "targets[0].weight is 1001"),
        ("openai/x,dialects=talk", "no dialect 'talk'"),
    ],
)
def test_what_makes_no_route_is_refused(here, target, words):
    assert words in here.run("models", "route", "x", "--target", target).refusal()
    assert here.run("models", "routes", "--json").json() == []


def test_a_target_says_its_conditions():
    assert read_target(
        "p/accounts/x/m,priority=0,weight=7,region=eu,max_output=9,dialects=chat+messages,"
        "tools=yes,images=no,min_input_tokens=1,max_input_tokens=2"
    ) == RouteTarget(
        provider="p",
        model="accounts/x/m",
        priority=0,
        weight=7,
        region="eu",
        max_output=9,
        when=When(
            dialects=("chat", "messages"),
            tools=True,
            images=False,
            min_input_tokens=1,
            max_input_tokens=2,
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "p", "p/", "/m", "p/m,", "p/m,weight", "p/m,weight=", "p/m,weight=-1", "p/m,tools=1"),
        *("p/m,weight=1,weight=2", "p/m,when=x", "p/m,weight=1e3", "p/m,weight=٣"),
    ],
)
def test_a_target_that_can_not_be_read_is_refused(text):
    with pytest.raises(InvalidRequest):
        read_target(text)


@pytest.mark.parametrize(
    "command",
    [
        ("models", "explain", "x"),
        ("models", "health"),
    ],
)
def test_what_asks_the_service_says_when_it_is_not_there(here, command):
    settings = {"TORANA_API_KEY": "sk-x", "TORANA_BASE_URL": "http://127.0.0.1:9"}
    assert "does not answer" in here.run(*command, **settings).refusal()
    assert "TORANA_API_KEY" in here.run(*command).refusal()


def test_a_body_that_is_not_there_is_told(here):
    refusal = here.run("models", "explain", "x", "--body", "gone.json", "--key", "k").refusal()
    assert "gone.json" in refusal


@pytest.mark.parametrize(
    "command",
    [
        *(("models", name) for name in ("route", "routes", "remove", "health", "explain", "show")),
        *(("providers", name) for name in ("add", "set", "show", "remove", "test", "presets")),
        *(("providers", name) for name in ("list", "rotate-keys", "hosts", "allow-host")),
        *(("providers", "keys", name) for name in ("add", "list", "remove")),
        ("providers", "disallow-host"),
    ],
    ids=" ".join,
)
def test_every_command_has_help_and_json(here, command):
    text = here.run(*command, "--help").text()
    assert "--json" in text
