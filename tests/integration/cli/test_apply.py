"""`torana apply` at the command line: what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.runners import SECRET_KEY, InProcess, Installed, Runner

FILE = """\
allowed_hosts = ["127.0.0.1"]

[[providers]]
name = "first"
base_url = "http://127.0.0.1:9001/v1"
api_key_env = "FIRST_KEY"

[[providers]]
name = "second"
base_url = "http://127.0.0.1:9002/v1"
api_key_file = "keys/second"

[[models]]
name = "resilient"
targets = [
  { provider = "first", model = "gpt-4o-mini" },
  { provider = "second", model = "gpt-4o-mini", priority = 2 },
]
"""
KEY = {"FIRST_KEY": "sk-first"}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A command line with a database, a file, and a key beside it."""
    runner = InProcess(tmp_path, {"TORANA_SECRET_KEYS": SECRET_KEY} | KEY)
    assert runner.run("db", "upgrade").status == 0
    (tmp_path / "config" / "keys").mkdir(parents=True)
    (tmp_path / "config" / "keys" / "second").write_text("sk-second\n")
    (tmp_path / "config" / "torana.toml").write_text(FILE)
    return runner


def apply(runner: Runner, *options: str, **settings: str):
    return runner.run("apply", "config/torana.toml", *options, **settings)


def edit(runner: Runner, old: str, new: str) -> None:
    file = runner.folder / "config" / "torana.toml"
    file.write_text(file.read_text().replace(old, new))


def test_a_dry_run_shows_what_would_be_and_the_real_one_what_was_done(runner):
    lines = """\
+ allowed host 127.0.0.1
+ provider first (compatible, http://127.0.0.1:9001/v1, key first)
+ provider second (compatible, http://127.0.0.1:9002/v1, key first)
+ model resilient (priority: first/gpt-4o-mini, second/gpt-4o-mini (priority 2))
"""
    rehearsed = apply(runner, "--dry-run").text()
    assert rehearsed == (
        f"{lines}4 to add, 0 to change, 0 unchanged. Nothing was written: this is a dry run.\n"
    )
    assert apply(runner).text() == f"{lines}4 added, 0 changed, 0 unchanged.\n"
    assert apply(runner).text() == "Nothing to change: 4 entries are as the file says.\n"


def test_what_changes_is_shown_with_what_it_was(runner):
    apply(runner)
    edit(runner, "priority = 2 }", 'priority = 3, weight = 5, region = "eu-central" }')
    edit(runner, 'name = "resilient"', 'name = "resilient"\nsticky = true\nattempts = 2')
    edit(runner, ":9001", ":9009")
    assert apply(runner, FIRST_KEY="sk-rotated").text() == (
        """\
~ provider first: base_url http://127.0.0.1:9001/v1 -> http://127.0.0.1:9009/v1; key first changed
~ model resilient
    targets[1].priority 2 -> 3
    targets[1].weight 1 -> 5
    targets[1].region none -> eu-central
    sticky false -> true
    attempts none -> 2
= 2 unchanged
0 added, 2 changed, 2 unchanged.
"""
    )


def test_scripts_read_json(runner):
    apply(runner)
    edit(runner, "priority = 2", "priority = 3")
    change = {
        "action": "change",
        "kind": "model",
        "name": "resilient",
        "about": "",
        "differences": [{"what": "targets[1].priority", "before": "2", "after": "3"}],
    }
    told = {"dry_run": True, "changes": [change], "unchanged": 3}
    assert apply(runner, "--json", "--dry-run").json() == {"applied": False} | told
    assert apply(runner, "--json").json() == {"applied": True} | told | {"dry_run": False}
    nothing = {"applied": False, "dry_run": False, "changes": [], "unchanged": 4}
    assert apply(runner, "--json").json() == nothing


def test_the_exit_status_of_a_dry_run_tells_differences_when_asked(runner):
    assert apply(runner, "--dry-run").status == 0
    assert apply(runner, "--dry-run", "--exit-code").status == 2
    apply(runner)
    assert apply(runner, "--dry-run", "--exit-code").status == 0


def test_an_exit_code_without_a_dry_run_is_a_wrong_use(runner):
    result = apply(runner, "--exit-code")
    assert (result.status, result.out) == (2, "")
    assert "--exit-code goes with --dry-run" in result.err


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--json",), ("--dry-run", "--exit-code")])
def test_what_is_wrong_is_told_by_line_and_nothing_is_changed(runner, options):
    edit(runner, "targets", "tagets")
    edit(runner, "api_key_env", 'api_key = "sk-in-the-file"\napi_key_env')
    result = apply(runner, *options, FIRST_KEY="")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        'config/torana.toml:6: unknown key "api_key" in [[providers]]; a secret must not stand in '
        'the file; name a variable (api_key_env = "NAME") or a file (api_key_file = "path")\n'
        'config/torana.toml:16: unknown key "tagets" in [[models]]; did you mean "targets"?\n'
        "torana: config/torana.toml has 2 problems; nothing is changed.\n"
    )
    assert "first" not in runner.run("providers", "list").text()


def test_a_key_that_is_not_there_refuses_the_file(runner):
    (runner.folder / "config" / "keys" / "second").unlink()
    result = apply(runner, FIRST_KEY="")
    assert result.status == 1
    unset, gone, count = result.err.splitlines()
    assert unset.startswith("config/torana.toml:6: api_key_env: the variable FIRST_KEY is not set")
    assert gone.startswith("config/torana.toml:11: the file of the key can't be read: No such")
    assert count == "torana: config/torana.toml has 2 problems; nothing is changed."


def test_no_key_is_ever_shown(runner):
    shown = [
        apply(runner, *options, FIRST_KEY=key)
        for key in ("sk-one", "sk-two")
        for options in (("--dry-run",), ("--json", "--dry-run"), ())
    ]
    assert all("sk-" not in result.out + result.err for result in shown)
    assert "key first changed" in shown[-1].out


@pytest.mark.parametrize("name", ["absent.toml", ".", "nul\0"])
def test_a_file_that_can_not_be_read_is_refused(runner, name):
    assert "can't be read" in runner.run("apply", name).refusal()


def test_standard_input_is_a_file_too(runner):
    installed = Installed(runner.folder, runner.settings)
    text = FILE.replace('"keys/second"', '"config/keys/second"')
    assert "4 added" in installed.run("apply", "-", text=text).text()
    wrong = installed.run("apply", "-", text="[[models]]\nnaem = 'a'\n")
    assert wrong.status == 1
    assert '<stdin>:2: unknown key "naem" in [[models]]; did you mean "name"?' in wrong.err
