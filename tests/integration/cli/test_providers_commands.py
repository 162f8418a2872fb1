"""`torana providers`, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.fake_upstream import FakeUpstream, Turn, fail_with, fake_upstream, refusing_port
from tests.integration.cli.runners import SECRET_KEY, InProcess
from tests.integration.conftest import copied_file
from torana.db.session import Database
from torana.providers.presets import PRESETS

URL = "https://api.example.test/v1"
NEWER = "n" * 32
SECRET = "sk-of-the-provider"


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


@pytest.fixture
def acme(here: InProcess) -> str:
    """A provider without keys."""
    assert here.run("providers", "add", "acme", "--base-url", URL).status == 0
    return "acme"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream() as fake:
        yield fake


def test_a_provider_is_added_listed_changed_shown_and_removed(here):
    added = here.run(
        *("providers", "add", "acme", "--base-url", f"{URL}/", "--kind", "openai"),
        *("--option", "max_output_field=max_tokens", "--option", 'dropped=["user"]'),
    )
    assert added.text() == "Added acme. Call its models as acme/MODEL.\n"
    heading, line = here.run("providers", "list").text().splitlines()
    assert heading.split() == ["NAME", "KIND", "PRESET", "BASE", "URL", "KEYS", "ENABLED", "FROM"]
    assert line.split() == ["acme", "openai", "-", URL, "0", "yes", "added"]
    changed = here.run(
        *("providers", "set", "acme", "--disable", "--unset-option", "dropped"),
        *("--option", "models_path=/all", "--json"),
    ).json()
    assert changed["options"] == {"max_output_field": "max_tokens", "models_path": "/all"}
    assert not changed["enabled"]
    assert here.run("providers", "show", "acme", "--json").json() == changed
    assert '"/all"' in here.run("providers", "show", "acme").text()
    assert here.run("providers", "set", "acme", "--enable").text() == "Changed acme.\n"
    assert here.run("providers", "remove", "acme").text() == "Removed acme.\n"
    assert here.run("providers", "list", "--json").json() == []
    assert "no provider 'acme'" in here.run("providers", "show", "acme").refusal()


def test_providers_of_the_settings_are_listed_as_such_and_not_changed(here):
    settings = {"OPENAI_API_KEY": "sk-built-in", "TORANA_ECHO": "true"}
    listed = here.run("providers", "list", **settings).text()
    assert [line.split()[-1] for line in listed.splitlines()[1:]] == ["settings", "settings"]
    assert "sk-built-in" not in listed
    shown = here.run("providers", "show", "openai", **settings).text()
    assert "api.openai.com" in shown
    for command in (("set", "openai", "--disable"), ("remove", "openai")):
        assert "built in" in here.run("providers", *command, **settings).refusal()


def test_a_preset_fills_in_what_is_not_said_and_asks_for_its_key(here):
    said = here.run(
        "providers", "add", "cloud", "--preset", "azure", "--var", "resource=my-own"
    ).text()
    assert "providers keys add cloud" in said
    view = here.run("providers", "show", "cloud", "--json").json()
    assert view["base_url"] == "https://my-own.openai.azure.com/openai/v1"
    assert "resource" in here.run("providers", "add", "x", "--preset", "azure").refusal()
    assert (
        "NAME=VALUE"
        in here.run("providers", "add", "x", "--preset", "azure", "--var", "resource").refusal()
    )
    assert "'groq'" in here.run("providers", "add", "x", "--preset", "grok").refusal()


def test_the_presets_are_listed(here):
    listed = here.run("providers", "presets").text().splitlines()
    assert [line.split()[0] for line in listed[1:]] == list(PRESETS)
    assert [row["name"] for row in here.run("providers", "presets", "--json").json()] == list(
        PRESETS
    )


def test_a_change_that_says_nothing_is_a_mistake(here, acme):
    refused = here.run("providers", "set", acme)
    assert (refused.status, "what shall be different" in refused.err) == (2, True)


def test_a_provider_that_routes_lead_to_is_not_removed(here, acme):
    assert here.run("models", "route", "fast", "--target", f"{acme}/m").status == 0
    assert "fast" in here.run("providers", "remove", acme).refusal()
    assert here.run("models", "remove", "fast").status == 0
    assert here.run("providers", "remove", acme, "--json").json()["name"] == acme


# --- private addresses -------------------------------------------------------------------------


def test_a_private_address_is_refused_until_it_is_allowed(here):
    add = ("providers", "add", "near", "--base-url", "http://10.0.0.5:8000/v1")
    assert "torana providers allow-host 10.0.0.5" in here.run(*add).refusal()
    assert here.run("providers", "allow-host", "10.0.0.5:8000").text() == (
        "Providers may be at 10.0.0.5.\n"
    )
    assert here.run(*add).status == 0
    listed = here.run("providers", "hosts").text().splitlines()
    assert [line.split()[0] for line in listed] == ["HOST", "10.0.0.5"]
    assert here.run("providers", "disallow-host", "10.0.0.5", "--json").json()["host"] == "10.0.0.5"
    assert here.run("providers", "hosts", "--json").json() == []
    assert "not among" in here.run("providers", "disallow-host", "10.0.0.5").refusal()
    assert "name or an IP" in here.run("providers", "allow-host", "http://x/v1").refusal()


def test_a_host_is_allowed_with_its_provider(here):
    add = ("providers", "add", "ollama", "--preset", "ollama")
    assert "allow-host 127.0.0.1" in here.run(*add).refusal()
    assert here.run(*add, "--allow-host").status == 0
    assert [row["host"] for row in here.run("providers", "hosts", "--json").json()] == ["127.0.0.1"]


def test_a_provider_that_can_not_be_added_allows_nothing(here):
    refused = here.run("providers", "add", "x", "--preset", "grok", "--allow-host")
    assert refused.status == 1
    assert here.run("providers", "hosts", "--json").json() == []


# --- keys --------------------------------------------------------------------------------------


def test_keys_come_from_standard_input_a_variable_or_a_file_and_are_never_shown(here, acme):
    file = here.folder / "key.txt"
    file.write_text(f"{SECRET}-3\n")
    said = [
        here.run("providers", "keys", "add", acme, "--api-key-stdin", text=f"{SECRET}-1\nmore\n"),
        here.run(
            *("providers", "keys", "add", acme, "--label", "b", "--api-key-env", "ACME_KEY"),
            ACME_KEY=f" {SECRET}-2 ",
        ),
        here.run("providers", "keys", "add", acme, "--label", "c", "--api-key-file", str(file)),
        here.run("providers", "keys", "list"),
        here.run("providers", "keys", "list", acme, "--json"),
        here.run("providers", "show", acme, "--json"),
    ]
    assert {result.status for result in said} == {0}
    assert not any(SECRET in result.out + result.err for result in said)
    keys = said[4].json()
    assert [key["label"] for key in keys] == ["first", "b", "c"]
    assert set(keys[0]) == {"id", "provider", "label", "created_at"}
    assert said[5].json()["keys"] == 3
    assert here.run("providers", "keys", "remove", acme, "b").text().startswith("Removed the key b")
    removed = here.run("providers", "keys", "remove", acme, keys[2]["id"], "--json").json()
    assert removed["label"] == "c"
    assert "no key 'b'" in here.run("providers", "keys", "remove", acme, "b").refusal()


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (("--api-key-stdin",), "\n", "Standard input holds no API key"),
        (("--api-key-stdin",), "sk with spaces\n", "without spaces"),
        (("--api-key-env", "NO_SUCH_VARIABLE"), "", "NO_SUCH_VARIABLE holds no API key"),
        (("--api-key-file", "no-such-file"), "", "No such file"),
        (("--api-key-file", "binary"), "", "is not text"),
    ],
)
def test_a_key_that_is_not_there_is_told_with_its_place(here, acme, arguments, text, words):
    (here.folder / "binary").write_bytes(b"\xff\xfe")
    for command in (("keys", "add", acme), ("add", "other", "--base-url", URL)):
        refusal = here.run("providers", *command, *arguments, text=text).refusal()
        assert words in refusal
        assert "sk with" not in refusal
    assert here.run("providers", "keys", "list", "--json").json() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "where the key is"), (("--api-key-stdin", "--api-key-env", "X"), "in one way")],
)
def test_a_key_is_given_in_one_way(here, acme, arguments, words):
    refused = here.run("providers", "keys", "add", acme, *arguments, text="sk-1\n")
    assert (refused.status, words in refused.err) == (2, True)


def test_keys_are_rotated_and_one_that_can_not_be_read_is_named(here, acme):
    add = ("providers", "keys", "add", acme, "--api-key-stdin", "--label")
    assert here.run(*add, "old", text=SECRET).status == 0
    both = {"TORANA_SECRET_KEYS": f"{NEWER},{SECRET_KEY}"}
    assert here.run("providers", "rotate-keys", **both).text() == (
        "Encrypted anew: 1. Already so: 0.\n"
    )
    rotated = here.run("providers", "rotate-keys", "--json", TORANA_SECRET_KEYS=NEWER).json()
    assert rotated == {"rotated": 0, "current": 1, "unreadable": []}
    assert here.run(*add, "lost", text=SECRET, TORANA_SECRET_KEYS="l" * 32).status == 0
    failed = here.run("providers", "rotate-keys", **both)
    assert (failed.status, failed.out) == (1, "Encrypted anew: 0. Already so: 1.\n")
    assert "lost" in failed.err
    assert acme in failed.err
    assert SECRET not in failed.err


# --- test --------------------------------------------------------------------------------------


def by_key(turn: Turn) -> None:
    """A provider that knows one key."""
    if turn.request.headers.get("authorization") == f"Bearer {SECRET}":
        turn.reply({"object": "list", "data": [{"id": f"model-{n}"} for n in range(7)]})
    else:
        fail_with(401)(turn)


def test_a_provider_is_asked_with_each_of_its_keys(here, upstream):
    upstream.at("/v1/models", by_key)
    added = here.run(
        *("providers", "add", "near", "--base-url", upstream.url, "--allow-host"),
        "--api-key-stdin",
        text=SECRET,
    )
    assert added.status == 0, added
    well = here.run("providers", "test", "near").text()
    assert well.startswith("near, key first: well, after ")
    assert well.endswith("Models: model-0, model-1, model-2, model-3, model-4 and 2 more.\n")
    add = ("providers", "keys", "add", "near", "--label", "bad", "--api-key-stdin")
    assert here.run(*add, text="sk-bad-key").status == 0
    failed = here.run("providers", "test", "near")
    assert failed.status == 1
    assert failed.out.startswith("near, key first: well")
    assert "near, key bad: " in failed.err
    assert "providers keys add near" in failed.err
    checks = here.run("providers", "test", "near", "--json")
    assert checks.status == 1
    assert [check["ok"] for check in json.loads(checks.out)] == [True, False]
    assert not any("sk-bad-key" in result.out + result.err for result in (failed, checks))


def test_a_provider_that_is_not_there_is_told_with_what_to_do(here):
    with refusing_port() as port:
        url = f"http://127.0.0.1:{port}/v1"
        assert here.run("providers", "add", "gone", "--base-url", url, "--allow-host").status == 0
        failed = here.run("providers", "test", "gone")
    assert (failed.status, failed.out) == (1, "")
    assert "base URL" in failed.err
    assert "no provider 'nobody'" in here.run("providers", "test", "nobody").refusal()


def test_a_provider_whose_host_is_not_allowed_any_more_is_told_so(here, upstream):
    add = ("providers", "add", "near", "--base-url", upstream.url, "--allow-host", "--disabled")
    assert here.run(*add).status == 0
    upstream.at("/v1/models", lambda turn: turn.reply({"data": []}))
    assert here.run("providers", "test", "near").text().endswith("It tells no models.\n")
    assert here.run("providers", "disallow-host", "127.0.0.1").status == 0
    failed = here.run("providers", "test", "near")
    assert failed.status == 1
    assert "providers allow-host" in failed.err


def test_the_echo_of_the_settings_is_well(here):
    assert "well" in here.run("providers", "test", "echo", TORANA_ECHO="true").text()
