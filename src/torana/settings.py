"""Every setting of Torana, and the only module that reads the environment.

Names are `TORANA_*` in the environment or in `.env`; a few provider settings keep the names that
people already have (`OPENAI_API_KEY`). `docs/settings.md` lists them all, and a test holds the two
together.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from torana.errors import ConfigurationError

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """A frozen set of settings; build one with `load_settings` and pass it down."""

    model_config = SettingsConfigDict(
        env_prefix="TORANA_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
    )

    data_dir: Path = Field(
        Path("data"), description="Folder for the database, secrets, sockets and run-time files."
    )
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8080, ge=1, le=65535, description="Port the web server listens on.")
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, `postgresql://...`; SQLite in the data folder when unset.",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis URL; `torana up` starts an embedded Redis when unset."
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Comma-separated secrets of at least 32 characters, newest first; each purpose "
        "derives its own key. `torana up` makes one in the data folder; `torana serve` demands it.",
    )

    workers: int = Field(1, ge=1, le=256, description="Web processes.")
    worker_class: Literal["gevent", "gthread"] = Field(
        "gevent", description="How a web process carries many connections."
    )
    worker_threads: int = Field(64, ge=1, description="Threads of a web process under `gthread`.")
    worker_connections: int = Field(
        2048, ge=1, description="Connections a web process accepts at once under `gevent`."
    )
    shutdown_seconds: int = Field(
        30, ge=4, le=3600, description="How long a stopping web process may finish open work."
    )
    max_body_bytes: int = Field(
        32 * MEBIBYTE, ge=1024, description="Largest request body; larger ones get a 413."
    )
    max_upload_bytes: int = Field(
        100 * MEBIBYTE,
        ge=1024,
        description="Largest form with files (images, recordings); larger ones get a 413.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="`json` is Logstash's layout; `text` is for eyes."
    )
    log_dir: Path | None = Field(
        None, description="Folder for rotating log files shared by all processes; none when unset."
    )
    log_max_bytes: int = Field(
        50 * MEBIBYTE, ge=4096, description="Size at which a log file rotates."
    )
    log_backups: int = Field(10, ge=0, description="Rotated log files that are kept.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token for `/metrics`; without it only loopback may read them."
    )

    connect_timeout: float = Field(
        5.0, gt=0, le=86_400, description="Seconds to connect to a provider."
    )
    first_byte_timeout: float = Field(
        120.0, gt=0, le=86_400, description="Seconds until a provider sends its status line."
    )
    idle_timeout: float = Field(
        60.0, gt=0, le=86_400, description="Seconds a provider may be silent in an answer."
    )
    total_timeout: float = Field(
        600.0, gt=0, le=86_400, description="Seconds one call may take in all."
    )
    retry_attempts: int = Field(
        3, ge=1, le=10, description="Most attempts for one call, at whichever targets."
    )
    breaker_failures: int = Field(
        5, ge=1, le=1000, description="Failures one after another that close a target to calls."
    )
    breaker_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Seconds until a closed target is tried again; doubled while it keeps failing.",
    )
    retry_uncertain: bool = Field(
        False,
        description="Try again also after an attempt that the provider may have processed; each "
        "such attempt is charged at its bound.",
    )
    free_fields: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated request fields that cost nothing although no bound rule "
        "knows them; calls with others are refused under a hard budget.",
    )
    disconnect_policy: Literal["drain", "cancel"] = Field(
        "drain",
        description="When a caller hangs up: `drain` reads the provider's answer to its usage, "
        "`cancel` stops the provider and charges what was visible, or the bound where more may "
        "have been billed.",
    )
    drain_seconds: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="Longest that an answer is read on after its caller hung up.",
    )

    responses_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="Days that a stored response (`/v1/responses`) is kept, encrypted; with 0 none "
        "is, whatever a call asks for.",
    )

    base_url: str | None = Field(
        None, description="Where `torana chat` finds the service; the host and port when unset."
    )
    api_key: SecretStr | None = Field(None, description="The API key of `torana chat`.")

    echo: bool = Field(
        False, description="Offer the `echo` provider, a scripted stand-in for demos and drills."
    )
    local_model_url: str | None = Field(
        None, description="Base URL of the local model's server; `torana up` sets it."
    )
    local_model_key: SecretStr | None = Field(
        None,
        description="Bearer token of the local model's server; `torana up` makes one per start.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
        description="Makes the provider `openai` available.",
    )
    openai_base_url: str = Field(
        "https://api.openai.com/v1",
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
        description="Where `openai` is.",
    )
    anthropic_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("ANTHROPIC_API_KEY", "anthropic_api_key"),
        description="Makes the provider `anthropic` available.",
    )
    anthropic_base_url: str = Field(
        "https://api.anthropic.com",
        validation_alias=AliasChoices("ANTHROPIC_BASE_URL", "anthropic_base_url"),
        description="Where `anthropic` is.",
    )

    @field_validator("secret_keys", "free_fields", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("free_fields")
    @classmethod
    def _fields_have_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "..." in value:
            message = "'...' stands for fields that were not listed; name each"
            raise ValueError(message)
        return value

    @field_validator("secret_keys")
    @classmethod
    def _keys_are_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < 32 for key in value):
            message = "every key needs at least 32 characters; make one with `openssl rand -hex 32`"
            raise ValueError(message)
        return value

    @property
    def resolved_database_url(self) -> str:
        """The database's URL: the one that was set, or SQLite in the data folder."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'torana.db').absolute()}"

    @property
    def service_url(self) -> str:
        """Where this service is reached from this machine."""
        if self.base_url is not None:
            return self.base_url.rstrip("/")
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def run_dir(self) -> Path:
        """Folder for sockets, lock files and metrics of this host's processes."""
        return self.data_dir.absolute() / "run"

    @property
    def spool_dir(self) -> Path:
        """Folder where processes of this host keep posts while the database is away."""
        return self.data_dir.absolute() / "spool"

    @property
    def metrics_dir(self) -> Path:
        """Folder where the processes of this host share their metrics."""
        return self.run_dir / "metrics"


def load_settings(**overrides: object) -> Settings:
    """Read the environment and `.env`.

    Args:
        overrides: settings given on the command line, by field name; they win.

    Raises:
        ConfigurationError: a value is not usable; the message names the setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except UnicodeDecodeError:
        raise ConfigurationError("The file .env is not UTF-8 text.") from None
    except ValidationError as error:
        lines = [f"{_setting_name(item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError("; ".join(lines), hint="See docs/settings.md.") from None


def _setting_name(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.isupper() else f"TORANA_{name.upper()}"


def environment_value(name: str) -> str | None:
    """A variable that an administrator names, such as one that holds a provider's key."""
    return os.environ.get(name)  # noqa: TID251 -- this module is the reader of the environment


def child_environment(**values: str) -> dict[str, str]:
    """The environment for a process that we start: our own, with `values` laid over it."""
    return {**os.environ, **values}  # noqa: TID251 -- this module is the reader of the environment


def set_for_this_process(name: str, value: str) -> None:
    """Set a variable that a library reads at import (prometheus_client does), before its import."""
    os.environ[name] = value  # noqa: TID251 -- this module is the reader of the environment


def exec_module(module: str, arguments: list[str], **values: str) -> NoReturn:
    """Become `python -m module` with `values` in its environment; nothing of this stays."""
    argv = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, argv, child_environment(**values))  # noqa: S606 -- our own module
