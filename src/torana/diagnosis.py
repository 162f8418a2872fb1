"""What `torana doctor` looks at: one function per subject, each with a verdict and advice.

Every look is bounded in time and changes nothing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from torana import __version__
from torana.coordination import redis_answers
from torana.db.revision import HEAD
from torana.db.session import Database
from torana.errors import ConfigurationError, ToranaError
from torana.ledger.owners import seconds_since_beat
from torana.model_server import local_model_available
from torana.processes.ports import require_free_port
from torana.processes.probes import http_answers
from torana.processes.redis import find_redis
from torana.secret_box import SECRET_FILE
from torana.settings import Settings

State = Literal["ok", "warning", "fails"]
_WANTED_FILES = 8192
"""Open files for two thousand streams a process: two connections each, and room."""


_CRON_SECONDS = 30.0


class Finding(msgspec.Struct, frozen=True):
    """A verdict on one subject."""

    subject: str
    state: State
    detail: str
    advice: str = ""


def diagnose(settings: Settings) -> list[Finding]:
    """Look at everything; a look that breaks is a finding too."""
    looks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _data_folder,
        _secrets,
        _database,
        _cron,
        _redis,
        _port,
        _open_files,
        _local_model,
        _providers,
    )
    findings: list[Finding] = []
    for look in looks:
        try:
            findings.extend(look(settings))
        except ToranaError as error:
            subject = look.__name__.strip("_").replace("_", " ")
            findings.append(Finding(subject, "fails", error.message, error.hint or ""))
    return findings


def _python(_settings: Settings) -> Iterator[Finding]:
    detail = f"Torana {__version__} on Python {platform.python_version()}"
    yield Finding("python", "ok" if sys.version_info >= (3, 11) else "fails", detail)


def _packages(_settings: Settings) -> Iterator[Finding]:
    if importlib.util.find_spec("niquests") is not None:
        yield Finding(
            "packages",
            "fails",
            "niquests is installed; it replaces urllib3 with a slower fork.",
            "pip uninstall niquests urllib3-future, then pip install --force-reinstall urllib3.",
        )
    else:
        yield Finding("packages", "ok", "nothing that is known to do harm")


def _data_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    if not folder.exists():
        yield Finding(
            "data folder", "warning", f"{folder} does not exist yet", "`torana up` makes it."
        )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "data folder", "fails", f"{folder} can't be written", "Change its owner or mode."
        )
        return
    free = os.statvfs(folder)
    gigabytes = free.f_bavail * free.f_frsize / 1e9
    state: State = "ok" if gigabytes >= 1 else "warning"
    yield Finding("data folder", state, f"{folder}, {gigabytes:.1f} GB free")


def _secrets(settings: Settings) -> Iterator[Finding]:
    if settings.secret_keys:
        yield Finding("secrets", "ok", f"{len(settings.secret_keys)} in TORANA_SECRET_KEYS")
        return
    path = settings.data_dir.absolute() / SECRET_FILE
    if not path.exists():
        yield Finding(
            "secrets",
            "warning",
            "TORANA_SECRET_KEYS is not set",
            "`torana up` makes its own; for `torana serve` use `openssl rand -hex 32`.",
        )
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("secrets", "fails", f"others may read {path}", f"chmod 600 {path}")
    else:
        yield Finding("secrets", "ok", f"in {path}, for this user only")


def _database(settings: Settings) -> Iterator[Finding]:
    database = Database(settings.resolved_database_url)
    where = database.url.render_as_string(hide_password=True)
    try:
        if not database.exists():
            yield Finding("database", "warning", f"{where} is not there yet", "`torana db upgrade`")
            return
        with database.engine.connect() as connection:
            revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
            if database.is_sqlite:
                durable = connection.scalar(text("PRAGMA synchronous")) == 2
                wal = connection.scalar(text("PRAGMA journal_mode")) == "wal"
                setting = "synchronous=FULL and WAL"
            else:
                durable = connection.scalar(text("SHOW synchronous_commit")) != "off"
                wal = connection.scalar(text("SHOW fsync")) == "on"
                setting = "synchronous_commit and fsync"
    except Exception as error:  # noqa: BLE001 -- whatever a driver raises is the finding
        yield Finding(
            "database",
            "fails",
            f"{where}: {type(error).__name__}",
            "Is it running, and is TORANA_DATABASE_URL right? Then `torana db upgrade`.",
        )
        return
    finally:
        database.dispose()
    if revision != HEAD:
        yield Finding(
            "database",
            "fails",
            f"{where} is at revision {revision}, needs {HEAD}",
            "`torana db upgrade`",
        )
    elif not (durable and wal):
        yield Finding(
            "database", "fails", f"{where} may lose commits in a crash", f"It needs {setting}."
        )
    else:
        yield Finding("database", "ok", f"{where}, durable ({setting})")


def _cron(settings: Settings) -> Iterator[Finding]:
    """Whether somebody posts what killed processes leave behind."""
    database = Database(settings.resolved_database_url)
    try:
        beats = seconds_since_beat(database, "cron") if database.exists() else None
    except (ToranaError, SQLAlchemyError):
        return  # The database has a finding of its own.
    finally:
        database.dispose()
    if beats is not None and beats < _CRON_SECONDS:
        yield Finding("cron", "ok", f"heard of {beats:.0f} s ago")
    else:
        yield Finding(
            "cron",
            "warning",
            "no `torana cron` is running",
            "`torana up` runs one; with `torana serve`, start it too: it posts the calls of "
            "processes that were killed.",
        )


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        program = find_redis()
        version = ".".join(str(part) for part in program.version)
        yield Finding("redis", "ok", f"embedded, {program.path} {version}")
    elif redis_answers(settings.redis_url.get_secret_value()):
        yield Finding("redis", "ok", "TORANA_REDIS_URL answers")
    else:
        yield Finding(
            "redis",
            "warning",
            "TORANA_REDIS_URL does not answer",
            "Calls work without it; background work waits.",
        )


def _port(settings: Settings) -> Iterator[Finding]:
    if http_answers(settings.host, settings.port, "/healthz"):
        yield Finding("port", "ok", f"Torana answers at {settings.service_url}")
        return
    try:
        require_free_port(settings.host, settings.port)
    except ConfigurationError as error:
        yield Finding("port", "fails", error.message, error.hint or "")
        return
    yield Finding("port", "ok", f"{settings.host}:{settings.port} is free")


def _open_files(_settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _WANTED_FILES:
        yield Finding(
            "open files",
            "warning",
            f"at most {hard}",
            f"Allow {_WANTED_FILES} (ulimit -Hn, LimitNOFILE) for 2,000 streams a process.",
        )
    else:
        yield Finding("open files", "ok", f"{soft} now, up to {hard}")


def _local_model(_settings: Settings) -> Iterator[Finding]:
    available, hint = local_model_available()
    if available:
        yield Finding("local model", "ok", "installed")
    else:
        yield Finding("local model", "warning", "not installed", hint)


def _providers(settings: Settings) -> Iterator[Finding]:
    for name, key, base_url in (
        ("openai", settings.openai_api_key, settings.openai_base_url),
        ("anthropic", settings.anthropic_api_key, settings.anthropic_base_url),
    ):
        if key is None:
            hint = f"Set {name.upper()}_API_KEY to use it."
            yield Finding("providers", "ok", f"{name} is not configured", hint)
        else:
            yield Finding("providers", "ok", f"{name} at {base_url}")
