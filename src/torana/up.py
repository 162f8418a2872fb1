"""`torana up`: everything on one machine in one process tree, and a first answer.

The composition root of the newcomer's installation. It prepares the data folder, starts Redis, the
local model and the web service under a supervisor, asks a model a question through the public API,
and says what to do next. What a first start makes (administrator, key) is shown once.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
import time
from collections.abc import Sequence

import click
import msgspec
import setproctitle

from torana import __version__
from torana.admin import bootstrap, keys
from torana.admin.bootstrap import FirstLogin
from torana.admin.builtin import ECHO_MODEL, LOCAL_MODEL
from torana.admin.tenancy import DEFAULT_NAME
from torana.cli.client import Client
from torana.db.session import COMMAND_PATIENCE_SECONDS, Database
from torana.errors import ConfigurationError, ToranaError
from torana.model_server import local_model_available, model_child, model_url
from torana.obs import logs
from torana.processes.child import Child, StartCancelled
from torana.processes.folders import make_private
from torana.processes.lock import DataFolderLock
from torana.processes.ports import free_port, require_free_port
from torana.processes.probes import http_answers
from torana.processes.redis import prepare_redis
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor
from torana.secret_box import load_or_make
from torana.settings import Settings, load_settings

STOP_SECONDS = 10.0
WEB_SHUTDOWN_SECONDS = 6
"""Of those ten: what is left goes to the stages after the web service."""
LEFTOVER_SECONDS = 12.0
"""How long the remains of a killed `up` may take to be gone."""
_QUESTION = "What is 2+2?"
_WIDTH = 78


class Plan(msgspec.Struct, frozen=True):
    """What will be started: the children in their order, and the model for the self-check."""

    children: tuple[Child, ...]
    model: str | None
    notes: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run; the entry of `python -m torana.up`."""
    parser = argparse.ArgumentParser(prog="torana up")
    parser.add_argument("--no-local-model", action="store_true")
    options = parser.parse_args(arguments)
    setproctitle.setproctitle("torana: up")
    try:
        settings = load_settings()
        make_private(settings.data_dir.absolute())
        with DataFolderLock(settings.run_dir, leftover_seconds=LEFTOVER_SECONDS) as lock:
            _run(settings, lock, local_model=not options.no_local_model)
    except ToranaError as error:
        sys.exit(f"torana: {error.public_message}")


def _run(settings: Settings, lock: DataFolderLock, *, local_model: bool) -> None:
    began = time.monotonic()
    settings = _for_people(settings)
    logs.configure(settings, "up")
    if settings.log_format == "text":
        # People want to read what is wrong; how each child came up is for the log of a service.
        logging.getLogger("torana.up").setLevel(logging.WARNING)
    require_free_port(settings.host, settings.port)
    plan = _plan(settings, local_model=local_model)
    stopping = StopRequest()
    with (
        stopping.on_signals(),
        Supervisor(stopping, stop_seconds=STOP_SECONDS, inherit=(lock.fd,)) as supervisor,
    ):
        try:
            database = Database(settings.resolved_database_url, patience=COMMAND_PATIENCE_SECONDS)
            try:
                bootstrap.prepare(database)
                for child in plan.children:
                    supervisor.start(child)
                supervisor.wait_ready()
                ready = time.monotonic() - began
                login = bootstrap.first_login(database)
                check = _self_check(settings, database, plan.model) if plan.model else None
            finally:
                database.dispose()
            _welcome(settings, plan, login=login, check=check, ready_seconds=ready)
            supervisor.run()
        except StartCancelled:
            pass  # Asked to stop while starting: the supervisor ends what has started.
        click.echo("torana: stopping", err=True)


def _for_people(settings: Settings) -> Settings:
    """On a terminal, logs are for eyes unless a format was asked for."""
    if "log_format" in settings.model_fields_set or not sys.stderr.isatty():
        return settings
    return settings.model_copy(update={"log_format": "text"})


def _plan(settings: Settings, *, local_model: bool) -> Plan:
    """Decide what to start.

    Raises:
        ConfigurationError: something can't be prepared.
    """
    environment = {
        "TORANA_DATA_DIR": str(settings.data_dir.absolute()),
        "TORANA_DATABASE_URL": settings.resolved_database_url,
        "TORANA_LOG_FORMAT": settings.log_format,
        "TORANA_SHUTDOWN_SECONDS": str(WEB_SHUTDOWN_SECONDS),
    }
    children: list[Child] = []
    notes: list[str] = []
    if not settings.secret_keys:
        secret = load_or_make(settings.data_dir.absolute())
        environment["TORANA_SECRET_KEYS"] = secret.get_secret_value()
    if settings.redis_url is None:
        redis = prepare_redis(settings.data_dir, settings.run_dir)
        environment["TORANA_REDIS_URL"] = redis.url
        children.append(redis.child())
    if "echo" not in settings.model_fields_set:
        environment["TORANA_ECHO"] = "true"
    echo = settings.echo or "TORANA_ECHO" in environment
    model = ECHO_MODEL if echo else None
    available, hint = local_model_available()
    if local_model and available:
        port, key = free_port(), secrets.token_urlsafe(32)
        environment["TORANA_LOCAL_MODEL_URL"] = model_url(port)
        environment["TORANA_LOCAL_MODEL_KEY"] = key
        children.append(model_child(settings, port=port, key=key))
        model = LOCAL_MODEL
    elif local_model:
        notes.append(f"Without the local model: {hint}")
    children.append(_web_child(settings, environment))
    children.append(_cron_child(environment))
    return Plan(tuple(children), model, tuple(notes))


def _web_child(settings: Settings, environment: dict[str, str]) -> Child:
    return Child(
        name="web",
        argv=(sys.executable, "-P", "-m", "torana.app"),
        env=environment,
        ready=lambda: http_answers(settings.host, settings.port, "/readyz"),
        ready_seconds=60.0,
        gate=False,
        stop_order=0,
    )


def _cron_child(environment: dict[str, str]) -> Child:
    return Child(name="cron", argv=(sys.executable, "-P", "-m", "torana.cron"), env=environment)


def _self_check(settings: Settings, database: Database, model: str) -> dict[str, str]:
    """Ask a model through the public API, with a key that lives for two minutes.

    Raises:
        ConfigurationError: it did not answer.
    """
    client = Client(settings, keys.renew_self_check_key(database, project=DEFAULT_NAME))
    try:
        request_id, words = client.chat(model, [{"role": "user", "content": _QUESTION}])
        answer = "".join(words).strip()
        call = client.get(f"/api/ledger/{request_id}")
    finally:
        keys.end_self_check_key(database)
    if not answer:
        raise ConfigurationError(f"The model {model} answered the self-check with nothing.")
    entry = call["entries"][-1]
    return {
        "model": model,
        "answer": answer,
        "cost": f"{call['cost_usd']} USD",
        "tokens": f"{entry['input_tokens']} tokens in, {entry['output_tokens']} out",
        "request_id": request_id,
    }


def _welcome(
    settings: Settings,
    plan: Plan,
    *,
    login: FirstLogin | None,
    check: dict[str, str] | None,
    ready_seconds: float,
) -> None:
    """Say where everything is; the secrets of a first start are shown here and nowhere else."""
    url = settings.service_url
    lines = [
        "",
        "=" * _WIDTH,
        f"Torana {__version__} is ready after {ready_seconds:.1f} s.",
        "",
        f"  Console      {url}/",
        f"  API          {url}/v1",
        f"  API docs     {url}/docs",
    ]
    lines += [f"  Note         {note}" for note in plan.notes]
    if check is not None:
        lines += [
            "",
            f"Self-check: asked {check['model']} through the public API.",
            f"  Question     {_QUESTION}",
            f"  Answer       {_one_line(check['answer'])}",
            f"  On record    {check['tokens']}, {check['cost']}, {check['request_id']}",
        ]
    key = "$TORANA_API_KEY"
    if login is not None:
        key = login.api_key
        lines += [
            "",
            "This is the first start. Keep these; they are not shown again:",
            f"  Administrator  {login.email}",
            f"  Password       {login.password}",
            f"  API key        {login.api_key}",
        ]
    if plan.model is not None:
        lines += ["", "Try it:", "", _curl(url, key, plan.model)]
    if login is None:
        lines += ["", "Lost the key? `torana keys create --project default --name NAME`"]
    lines += ["", "Ctrl-C stops everything.", "=" * _WIDTH, ""]
    click.echo("\n".join(lines))
    sys.stdout.flush()


def _curl(url: str, key: str, model: str) -> str:
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": "Tell me a joke."}],
            "max_tokens": 80,
        }
    )
    return (
        f'curl {url}/v1/chat/completions -H "Authorization: Bearer {key}" '
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 300 else f"{joined[:300]}..."


if __name__ == "__main__":
    main()
