"""The gateway under measurement: its environment, its first rows, its start, its processes.

Everything goes through the public command line, as a user would do it.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.processes import BenchError, Program, free_port, running, wait_until

COMMAND_SECONDS = 60.0
READY_SECONDS = 60.0
ANSWER_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 15.0
WEB_TITLE = "torana: web"
MASTER_TITLE = "torana: web master"
# The key belongs to a user, so that each call is judged by four balances, as in real life.
USER = "bench@example.com"
KEY_LIMITS = (
    *("--budget-usd", "1000000", "--period", "month"),
    *("--rpm", "100000000", "--tpm", "100000000000", "--concurrency", "100000"),
)
SCOPES = (("user", USER), ("project", "default"), ("organisation", "default"))
"""Beside the key: each has a budget and limits of its own."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway; `ready_seconds` is the time from its start to the first good /readyz."""

    url: str
    key: str
    pid: int
    ready_seconds: float


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the gateway is started with; `torana` is the installed command."""

    torana: Path
    work: Path
    database_url: str
    upstream_url: str
    workers: int = 1

    @property
    def log(self) -> Path:
        """Where all its commands write."""
        return self.work / "gateway.log"

    def environment(self, port: int) -> dict[str, str]:
        """The whole environment: nothing of the caller's settings gets into a measurement."""
        return {
            "PATH": f"{self.torana.parent}{os.pathsep}{os.defpath}",
            "HOME": str(self.work),
            "LANG": "C.UTF-8",
            "TORANA_DATA_DIR": str(self.work / "data"),
            "TORANA_PORT": str(port),
            "TORANA_DATABASE_URL": self.database_url,
            "TORANA_SECRET_KEYS": secrets.token_hex(32),
            "TORANA_WORKERS": str(self.workers),
            "OPENAI_API_KEY": "sk-simulator",
            "OPENAI_BASE_URL": f"{self.upstream_url}/v1",
            "ANTHROPIC_API_KEY": "sk-simulator",
            "ANTHROPIC_BASE_URL": self.upstream_url,
        }


@contextmanager
def started(setup: Setup) -> Iterator[Gateway]:
    """Run a gateway on a fresh database for the length of a `with` block.

    Raises:
        BenchError: When a command fails, or the gateway isn't ready or doesn't answer in time.
    """
    port = free_port()
    environment = setup.environment(port)
    (setup.work / "data").mkdir(exist_ok=True)
    key = bootstrap(setup, environment)
    url = f"http://127.0.0.1:{port}"
    program = Program(
        arguments=[setup.torana, "serve"],
        environment=environment,
        # The gateway reads `.env` of its folder: this one has none.
        folder=setup.work,
        log=setup.log,
        grace=45.0,
    )
    start = time.monotonic()
    with running(program) as process:

        def ready() -> bool:
            if process.poll() is not None:
                raise BenchError(f"`torana serve` ended at its start; see {setup.log}")
            return status(url, "GET", "/readyz") == 200

        wait_until(ready, READY_SECONDS, "/readyz", poll_seconds=0.01)
        ready_seconds = time.monotonic() - start
        wait_until(lambda: chat_status(url, key) == 200, FIRST_ANSWER_SECONDS, "a first answer")
        yield Gateway(url=url, key=key, pid=process.pid, ready_seconds=round(ready_seconds, 3))


def bootstrap(setup: Setup, environment: Mapping[str, str]) -> str:
    """Make the tables, the default organisation and project, and an API key; return the key."""
    _command(setup, environment, "db", "upgrade")
    _command(
        setup,
        environment,
        *("users", "create", "--email", USER, "--password-stdin", "--json"),
        stdin=secrets.token_hex(16),
    )
    made = _command(
        setup,
        environment,
        *("keys", "create", "--project", "default", "--name", "bench", "--user", USER, "--json"),
        *KEY_LIMITS,
    )
    for scope, name in SCOPES:
        chosen = ("--scope", scope, "--id", name)
        budget = ("--amount-usd", "1000000", "--period", "month", "--time-zone", "Europe/Berlin")
        _command(setup, environment, "budgets", "create", *chosen, *budget)
        rates = ("--rpm", "100000000", "--tpm", "100000000000", "--concurrency", "100000")
        _command(setup, environment, "limits", "set", *chosen, *rates)
    try:
        return str(json.loads(made)["key"])
    except (ValueError, LookupError, TypeError) as error:
        raise BenchError("`torana keys create --json` printed no key") from error


def chat_status(url: str, key: str, model: str = "gpt-4o-mini") -> int:
    """The status of one small chat call; 0 when there was no answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 64}
    return status(url, "POST", "/v1/chat/completions", json.dumps(body), key)


def status(url: str, method: str, path: str, body: str | None = None, key: str = "") -> int:
    """The status of one request; 0 when there was no answer."""
    parts = urlsplit(url)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, f"{parts.path.rstrip('/')}{path}", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _command(setup: Setup, environment: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    """Run one `torana` command to its end, and return what it printed."""
    with setup.log.open("ab") as log:
        result = subprocess.run(
            [setup.torana, *arguments],
            env=dict(environment),
            cwd=setup.work,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    if result.returncode != 0:
        raise BenchError(
            f"`torana {' '.join(arguments[:2])}` ended with {result.returncode}; see {setup.log}"
        )
    return result.stdout
