"""What the command line says when something is wrong: one line, the setting's name, no secret."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.integration.cli.runners import PROGRAM, SECRET_KEY, InProcess, Installed, Result
from torana import __version__

SECRET = "hunter2"
BAD_URLS = [
    f"mysql://ada:{SECRET}@127.0.0.1/torana",
    f"postgres//ada:{SECRET}@127.0.0.1/torana",
    f"postgresql://ada:{SECRET}@127.0.0.1:port/torana",
    f"postgresql://ada:pass@{SECRET}:word@127.0.0.1/torana",
    f"postgresql://ada:pass@word:{SECRET}@127.0.0.1/torana",
    f"postgresql://ada:{SECRET}@127.0.0.1:1/torana",
    f"postgresql://ada:{SECRET}@[::1/torana",
    f"sqlite:///:memory:?{SECRET}",
    f"sqlite://{SECRET}",
    SECRET,
]


@pytest.fixture
def here(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path)


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


@pytest.mark.parametrize("arguments", [("keys", "list"), ("db", "check"), ("db", "upgrade")])
@pytest.mark.parametrize("url", BAD_URLS)
def test_a_database_url_that_can_not_be_used_never_prints_its_password(here, url, arguments):
    refusal = here.run(*arguments, TORANA_DATABASE_URL=url).refusal()
    assert SECRET not in refusal
    assert re.search(r"TORANA_DATABASE_URL|database", refusal)


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "list"),
        ("keys", "list"),
        ("providers", "list"),
        ("usage",),
        ("ledger", "verify"),
    ],
    ids=" ".join,
)
def test_without_a_database_a_command_says_how_to_make_one_and_makes_none(here, arguments):
    assert "torana db upgrade" in here.run(*arguments).refusal()
    assert list(here.folder.iterdir()) == []


def test_a_check_makes_no_database(here):
    (here.folder / "data").mkdir()
    assert here.run("db", "check").status == 1
    assert list((here.folder / "data").iterdir()) == []


def test_a_file_that_is_no_database_is_one_line(here):
    file = here.folder / "notes.txt"
    file.write_text("These are my notes, and no database. " * 100)
    url = f"sqlite:///{file}"
    for arguments in (("keys", "list"), ("db", "check"), ("db", "upgrade")):
        assert here.run(*arguments, TORANA_DATABASE_URL=url).refusal()
    assert file.read_text().startswith("These are my notes")


def test_a_folder_that_can_not_be_made_is_named(here):
    (here.folder / "data").write_text("a file")
    assert "data" in here.run("db", "upgrade").refusal()


@pytest.mark.parametrize(
    ("variable", "value"), [("TORANA_PORT", "http"), ("TORANA_SECRET_KEYS", SECRET)]
)
def test_a_setting_that_can_not_be_used_is_named(here, variable, value):
    refusal = here.run("keys", "list", **{variable: value})
    assert variable in refusal.refusal()
    assert SECRET not in refusal.err


def test_a_dotenv_file_that_is_not_text_is_one_line(here):
    (here.folder / ".env").write_bytes(b"TORANA_PORT=\xff\xfe\n")
    assert ".env" in here.run("keys", "list").refusal()


@pytest.mark.parametrize(
    "arguments",
    [("models", "list"), ("chat", "hello")],
    ids=" ".join,
)
def test_a_command_that_asks_the_service_says_what_it_needs(here, arguments):
    assert "TORANA_API_KEY" in here.run(*arguments).refusal()
    refusal = here.run(
        *arguments, TORANA_API_KEY="sk-tor-x", TORANA_BASE_URL="http://127.0.0.1:1"
    ).refusal()
    assert "http://127.0.0.1:1" in refusal


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("keys", "create"), ("keys", "revoke"), ("usage", "--by", "moon")],
    ids=" ".join,
)
def test_a_wrong_use_is_told_and_ends_with_2(here, arguments):
    result = here.run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert "Usage:" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("text", ["", "\n", "short\n"])
def test_an_empty_password_is_refused(here, text):
    assert here.run("db", "upgrade").status == 0
    refusal = here.run(
        "users", "create", "--email", "a@example.test", "--password-stdin", text=text
    ).refusal()
    assert "password" in refusal


def test_a_secret_is_made_with_the_first_provider_and_kept_for_its_owner(here):
    assert here.run("db", "upgrade").status == 0
    for name in ("one", "two"):
        added = here.run(
            *("providers", "add", name, "--base-url", "http://h/v1", "--api-key-stdin"),
            text="sk-theirs\n",
        )
        assert added.status == 0, added
    secret = here.folder / "data" / "secret-key"
    assert secret.stat().st_mode & 0o077 == 0


# --- the installed program ---------------------------------------------------------------------


def test_the_program_says_its_version_and_its_help(installed):
    assert __version__ in installed.run("--version").text()
    help_text = installed.run("--help").text()
    assert "doctor" in help_text
    assert "TORANA_" in help_text


def serve(installed: Installed, **settings: str) -> Result:
    return installed.run("serve", **settings)


def test_serving_without_secrets_is_refused_by_the_settings_name(installed):
    assert "TORANA_SECRET_KEYS" in serve(installed).refusal()


def test_serving_on_a_port_that_is_taken_is_refused_by_the_settings_name(installed):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refusal = serve(installed, TORANA_PORT=port, TORANA_SECRET_KEYS=SECRET_KEY).refusal()
    assert port in refusal
    assert "TORANA_PORT" in refusal


def test_the_doctor_tells_what_fails_and_what_to_do(installed):
    result = installed.run(
        "doctor", "--json", TORANA_DATABASE_URL=BAD_URLS[5], TORANA_SECRET_KEYS=SECRET_KEY
    )
    assert result.status == 1
    assert '"fails"' in result.out
    assert SECRET not in result.out + result.err
    assert SECRET_KEY not in result.out + result.err


def test_the_program_is_installed():
    assert PROGRAM.is_file()
