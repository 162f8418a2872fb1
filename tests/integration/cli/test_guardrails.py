"""`torana guardrails`, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cli.runners import Runner, command_line

BLOCK = ("--kind", "blocked_patterns", "--options", '{"words": ["bluebird"]}')


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """A command line with a migrated database."""
    folder = tmp_path_factory.mktemp("cli")
    for made in command_line(request, folder):
        yield prepared(made)


def prepared(runner: Runner) -> Runner:
    assert runner.run("db", "upgrade").status == 0
    return runner


@pytest.fixture
def run(runner: Runner):
    """Runs `torana guardrails ...`; what a test has added is removed after it."""

    def call(*arguments: str, text: str = ""):
        return runner.run("guardrails", *arguments, text=text)

    yield call
    for row in call("list", "--json").json():
        assert call("remove", row["name"]).status == 0


def test_a_guardrail_is_added_listed_changed_and_removed(run):
    assert run("add", "names", *BLOCK, "--where", "both", "--models", "gpt-*,a").text() == (
        "Added names: blocked_patterns on prompts and answers of gpt-*, a.\n"
    )
    (row,) = run("list", "--json").json()
    assert (row["models"], row["options"]) == (["gpt-*", "a"], {"words": ["bluebird"]})
    assert '{"words":["bluebird"]}' in run("list").text()
    changed = run("set", "names", "--models", "none", "--disable", "--order", "2", "--json").json()
    assert (changed["models"], changed["enabled"], changed["order"]) == (None, False, 2)
    assert changed["where"] == "both"
    assert run("set", "names", "--enable").text().endswith("of all models.\n")
    assert run("remove", "names").text().startswith("Removed names")
    assert "no guardrail 'names'" in run("remove", "names").refusal()


def test_a_text_is_tried(run):
    run("add", "privacy", "--kind", "mask", "--projects", "default")
    text = "Write to jane@example.com"
    assert run("test", "--model", "m", text=text).text() == (
        "m has no guardrails: all passes as it is.\n"
    )
    shown = run("test", "--model", "m", "--project", "default", text=text).text()
    assert "privacy    masked" in shown
    assert "To the model:\nWrite to [EMAIL_1]\n" in shown
    assert "if the model repeats it:\nWrite to jane@example.com\n" in shown
    run("add", "names", *BLOCK)
    blocked = run("test", "--model", "m", "--project", "default", text="Bluebird").text()
    assert "The guardrail 'names' does not let this prompt pass." in blocked
    assert "To the model" not in blocked
    told = run("test", "--model", "m", "--json", text="Bluebird").json()
    assert (told["outcomes"], told["prompt"]) == ({"names": "blocked"}, None)
    assert "There is no project" in run("test", "--model", "m", "--project", "x").refusal()


def test_the_kinds_are_listed(run):
    assert {"blocked_patterns", "mask"} <= set(run("kinds", "--json").json())
    assert "blocked_patterns" in run("kinds").text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "x", "--kind", "masks"), "Did you mean 'mask'?"),
        (("add", "x", "--kind", "mask", "--options", '{"kins": 1}'), "Did you mean 'kinds'?"),
        (("add", "X", "--kind", "mask"), "begins with a letter"),
        (("set", "nobody", "--order", "1"), "no guardrail 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(run, arguments, told):
    assert told in run(*arguments).refusal()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "x", "--kind", "mask", "--options", "[1]"), "is no JSON object"),
        (("add", "x", "--kind", "mask", "--options", "{"), "is no JSON object"),
        (("add", "x", "--kind", "mask", "--where", "all"), "is not one of"),
        (("set", "x"), "Say what shall be different."),
    ],
)
def test_what_can_not_be_read_is_a_usage_error(run, arguments, told):
    result = run(*arguments)
    assert result.status == 2
    assert told in result.err
