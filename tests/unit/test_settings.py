"""Settings: read, refused by name, kept secret, and documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, SecretStr, ValidationError

from torana.errors import ConfigurationError
from torana.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[2]
SECRET = "s3cr3t-" + "x" * 32


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    if alias is None:
        return f"TORANA_{name.upper()}"
    assert isinstance(alias, AliasChoices)
    return str(alias.choices[0])


VARIABLES = {name: variable_of(name) for name in Settings.model_fields}
SECRETS = [
    name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no `.env` of this machine."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(**overrides: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    assert caught.value.hint is not None
    return caught.value.public_message


def test_without_any_setting_there_are_the_documented_defaults():
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.data_dir == Path("data")
    assert settings.secret_keys == ()
    assert settings.openai_api_key is None


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("TORANA_PORT", "9000")
    monkeypatch.setenv("TORANA_ECHO", "true")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.test/v1")
    settings = load_settings()
    assert (settings.port, settings.echo) == (9000, True)
    assert settings.openai_base_url == "https://example.test/v1"


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("TORANA_PORT=9001\nTORANA_HOST=::1\nUNRELATED=1\n")
    monkeypatch.setenv("TORANA_PORT", "9002")
    settings = load_settings()
    assert (settings.port, settings.host) == (9002, "::1")


def test_what_is_given_on_the_command_line_wins(monkeypatch):
    monkeypatch.setenv("TORANA_PORT", "9000")
    assert load_settings(port=9003).port == 9003


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("TORANA_DATABASE_URL", "")
    monkeypatch.setenv("TORANA_PORT", "")
    settings = load_settings()
    assert settings.database_url is None
    assert settings.port == 8080


def test_secret_keys_are_a_list_with_commas(monkeypatch):
    monkeypatch.setenv("TORANA_SECRET_KEYS", f" {'a' * 32} , {'b' * 40},")
    keys = [key.get_secret_value() for key in load_settings().secret_keys]
    assert keys == ["a" * 32, "b" * 40]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TORANA_PORT", "http"),
        ("TORANA_PORT", "0"),
        ("TORANA_PORT", "65536"),
        ("TORANA_WORKERS", "0"),
        ("TORANA_WORKERS", "many"),
        ("TORANA_WORKER_CLASS", "sync"),
        ("TORANA_SHUTDOWN_SECONDS", "1"),
        ("TORANA_MAX_BODY_BYTES", "10"),
        ("TORANA_LOG_LEVEL", "TRACE"),
        ("TORANA_LOG_FORMAT", "xml"),
        ("TORANA_CONNECT_TIMEOUT", "0"),
        ("TORANA_RETRY_ATTEMPTS", "0"),
        ("TORANA_DISCONNECT_POLICY", "ignore"),
        ("TORANA_DRAIN_SECONDS", "-1"),
        ("TORANA_RESPONSES_DAYS", "-1"),
        ("TORANA_RESPONSES_DAYS", "4000"),
        ("TORANA_ECHO", "maybe"),
        ("TORANA_SECRET_KEYS", "short"),
        ("TORANA_SECRET_KEYS", f"{'a' * 32},short"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_setting(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert variable in refusal()


def test_all_bad_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("TORANA_PORT", "x")
    monkeypatch.setenv("TORANA_WORKERS", "y")
    message = refusal()
    assert "TORANA_PORT" in message
    assert "TORANA_WORKERS" in message


@pytest.mark.parametrize("name", ["port", "workers", "total_timeout", "first_byte_timeout"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_of_this_world_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(VARIABLES[name], value)
    assert VARIABLES[name] in refusal()


def test_a_refusal_repeats_no_secret(monkeypatch):
    monkeypatch.setenv("TORANA_SECRET_KEYS", f"{SECRET},short-s3cr3t")
    message = refusal()
    assert "s3cr3t" not in message


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_does_not_show(monkeypatch, name):
    monkeypatch.setenv(VARIABLES[name], SECRET)
    settings = load_settings()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), f"{settings}"):
        assert "s3cr3t" not in shown


def test_whatever_may_hold_a_credential_is_a_secret():
    sounds_secret = {
        name
        for name in Settings.model_fields
        if re.search(r"key|token|password|secret|database_url|redis_url", name)
    }
    assert sounds_secret == set(SECRETS)


def test_settings_can_not_change():
    with pytest.raises(ValidationError):
        load_settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8080"),  # noqa: S104 -- what a container says
        ({"host": "::"}, "http://127.0.0.1:8080"),
        ({"host": "::1", "port": 9}, "http://[::1]:9"),
        ({"base_url": "https://torana.example/"}, "https://torana.example"),
    ],
)
def test_the_service_is_found_where_it_listens(overrides, url):
    assert load_settings(**overrides).service_url == url


def test_the_database_is_a_file_of_the_data_folder_unless_it_is_set(tmp_path):
    settings = load_settings(data_dir=tmp_path / "d")
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'd' / 'torana.db'}"
    other = load_settings(database_url=SecretStr("postgresql://h/db"))
    assert other.resolved_database_url == "postgresql://h/db"


# --- documentation -----------------------------------------------------------------------------


def document(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def words(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text))


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_says_what_it_is(name):
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize("file", ["docs/settings.md", ".env.example"])
@pytest.mark.parametrize("variable", sorted(VARIABLES.values()))
def test_every_setting_is_documented(file, variable):
    assert variable in words(document(file))


@pytest.mark.parametrize("file", ["docs/settings.md", ".env.example", "README.md"])
def test_no_setting_is_documented_that_does_not_exist(file):
    documented = {word for word in words(document(file)) if word.startswith("TORANA_")}
    assert documented - set(VARIABLES.values()) == set()


def test_the_example_file_is_valid_and_changes_nothing_by_itself(tmp_path):
    (tmp_path / ".env").write_text(document(".env.example"))
    assert load_settings() == _defaults()


def _defaults() -> Any:
    fields = Settings.model_fields.items()
    return Settings.model_construct(
        **{name: field.get_default(call_default_factory=True) for name, field in fields}
    )
