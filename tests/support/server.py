"""A real Torana for tests: its own database, key, processes and log; ended whatever happens.

Everything goes through the public command line and HTTP, as a user would do it. The environment is
built from nothing, so that no setting of whoever runs the tests gets in.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from bench.processes import free_port, titled
from torana.db.session import Database

T = TypeVar("T")

TORANA = Path(sys.executable).parent / "torana"
DATABASE_FILE = "torana.db"
COMMAND_SECONDS = 60.0
READY_SECONDS = 30.0
STOP_SECONDS = 45.0
ANSWER_SECONDS = 30.0
EVENTUALLY_SECONDS = 10.0
_KILL_SECONDS = 5.0
_OFTEN = 16
"""Of two processes one that knows nothing yet is missed so often in one of 65,000 cases."""
_POLL_SECONDS = 0.02
_PAGE = 200


def eventually(
    look: Callable[[], T | None], what: str, *, seconds: float = EVENTUALLY_SECONDS
) -> T:
    """Look again and again until there is something true to be seen, and return it.

    Raises:
        AssertionError: there was nothing in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def everywhere(look: Callable[[], object], what: str) -> None:
    """Look until the same is seen so often in a row that every process has shown it.

    A change of the configuration reaches each process by itself, and any of them answers a call.

    Raises:
        AssertionError: it was not in time.
    """

    def often() -> bool:
        return all(look() for _ in range(_OFTEN))

    eventually(often, f"{what} in every process")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer, read to its end; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        """The id that the server gave to the request."""
        return self.headers["x-request-id"]


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that answers.

    Attributes:
        key: an API key of the project `default`.
        database_url: as an administrator of the same machine would reach it.
        process: the master; the workers are its children.
        environment: what its commands run with.
    """

    url: str
    key: str
    key_id: str
    folder: Path
    database_url: str
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    _files: tuple[Path, Path] = field(repr=False)

    @property
    def data_dir(self) -> Path:
        """Its data folder."""
        return Path(self.environment["TORANA_DATA_DIR"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for raw sockets."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    @property
    def output(self) -> str:
        """What its processes have written to stdout: the log."""
        return self._files[0].read_text()

    @property
    def errors(self) -> str:
        """What its processes have written to stderr: nothing, when all is well."""
        return self._files[1].read_text()

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log's lines so far, of one event or all; a line that is not JSON raises."""
        lines = [json.loads(line) for line in self.output.split("\n")[:-1]]
        return [line for line in lines if event in {None, line["event"]}]

    def wait_for_log(self) -> None:
        """Wait until every web process has written all that it had to say when this was called.

        A process writes its lines in their order, some time after they were made: once it has
        written one that was made later, the others are there.
        """
        refused: set[str] = set()

        def all_have_written() -> bool:
            lines = self.log("request.refused")
            if {line["pid"] for line in lines if line["request_id"] in refused} == set(
                self.worker_pids()
            ):
                return True
            refused.add(self.request("GET", "/nothing", key="").request_id)
            return False

        eventually(all_have_written, "the log of all web processes")

    def master_pids(self) -> list[int]:
        """The master's pid, found by its title."""
        return [found.pid for found in titled(self.process.pid, "torana: web master")]

    def worker_pids(self) -> list[int]:
        """The pids of the web processes, found by their title among the master's descendants."""
        return [found.pid for found in titled(self.process.pid, "torana: web")]

    def torana(self, *arguments: str, stdin: str = "") -> str:
        """Run a `torana` command on this server's database, and return what it printed."""
        return _command(self.environment, self.folder, *arguments, stdin=stdin)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request on a connection of its own.

        Args:
            method: of the request.
            path: with its query.
            body: bytes as they are, or what becomes JSON.
            key: another credential than the server's own; an empty text sends none.
            headers: they win over those that are made here.
        """
        sent = {"content-type": "application/json"} if body is not None else {}
        if key != "":
            sent["authorization"] = f"Bearer {key or self.key}"
        sent |= headers or {}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=named, body=response.read())
        finally:
            connection.close()

    def get(self, path: str, *, key: str | None = None) -> Any:
        """The JSON at a path, which must be there."""
        reply = self.request("GET", path, key=key)
        assert reply.status == 200, reply
        return reply.json()

    def chat(self, model: str, text: str = "hello", **more: Any) -> Reply:
        """Ask for a chat completion, and read it to its end."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.request("POST", "/v1/chat/completions", body)

    def ledger(self, *, key: str | None = None) -> list[dict[str, Any]]:
        """All entries of the key's project, newest first, page by page."""
        entries: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/api/ledger?limit={_PAGE}{cursor}", key=key)
            entries += page["data"]
            if page["next_cursor"] is None:
                return entries
            cursor = f"&cursor={quote(page['next_cursor'])}"

    def entry(self, request_id: str) -> dict[str, Any]:
        """The one entry of a call; waits until it is there."""

        def posted() -> Reply | None:
            reply = self.request("GET", f"/api/ledger/{request_id}")
            return reply if reply.status == 200 else None

        call = eventually(posted, f"the entry of {request_id}").json()
        assert len(call["entries"]) == 1, call
        assert call["cost_nano"] == call["entries"][0]["cost_nano"]
        entry: dict[str, Any] = call["entries"][0]
        return entry

    def entries_of(self, model: str, count: int = 1) -> list[dict[str, Any]]:
        """The entries of calls for a model, newest first; waits until there are so many."""

        def found() -> list[dict[str, Any]]:
            rows = [row for row in self.ledger() if row["model"] == model]
            return rows if len(rows) >= count else []

        rows = eventually(found, f"{count} entries of {model}")
        assert len(rows) == count, rows
        return rows

    def stop(self) -> float:
        """Ask the server to end, wait for it, and return how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - began


@dataclass(frozen=True, kw_only=True)
class Seed:
    """A migrated SQLite database with a key, to be copied: its commands take two seconds."""

    database: Path
    key: str
    key_id: str


def make_seed(folder: Path) -> Seed:
    """Migrate a database and make a key through the command line."""
    environment = _environment(folder, {}, None)
    key, key_id = _bootstrap(environment, folder)
    return Seed(database=folder / "data" / DATABASE_FILE, key=key, key_id=key_id)


@contextmanager
def running_server(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    database_url: str | None = None,
    seed: Seed | None = None,
    prepare: Callable[[Database, Mapping[str, str]], None] | None = None,
) -> Iterator[RunningServer]:
    """A server for the length of a `with` block; nothing of it is left behind.

    Args:
        folder: an empty folder for its files; there is no `.env` in it.
        settings: environment variables laid over the smallest set that it needs.
        database_url: SQLite in the data folder when None.
        seed: what the SQLite database begins as; made through the command line when None.
        prepare: called with the migrated database and the environment, before the start.
    """
    environment = _environment(folder, settings or {}, database_url)
    if seed is None:
        key, key_id = _bootstrap(environment, folder)
    else:
        key, key_id = seed.key, seed.key_id
        shutil.copyfile(seed.database, folder / "data" / DATABASE_FILE)
    url = database_url or f"sqlite:///{folder / 'data' / DATABASE_FILE}"
    if prepare is not None:
        database = Database(url)
        try:
            prepare(database, environment)
        finally:
            database.dispose()
    files = (folder / "server.log", folder / "server.err")
    with _process(folder, environment, files) as process:
        server = RunningServer(
            url=f"http://127.0.0.1:{environment['TORANA_PORT']}",
            key=key,
            key_id=key_id,
            folder=folder,
            database_url=url,
            environment=environment,
            process=process,
            _files=files,
        )
        _wait_until_ready(server)
        yield server


def _bootstrap(environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Migrate the database and make a key; the key and its id."""
    _command(environment, folder, "db", "upgrade")
    made = json.loads(
        _command(
            environment,
            folder,
            *("keys", "create", "--project", "default", "--name", "tests", "--json"),
        )
    )
    return made["key"], made["id"]


def _environment(
    folder: Path, settings: Mapping[str, str], database_url: str | None
) -> dict[str, str]:
    (folder / "data").mkdir(exist_ok=True)
    environment = {
        "PATH": f"{TORANA.parent}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TORANA_DATA_DIR": str(folder / "data"),
        "TORANA_PORT": str(free_port()),
        "TORANA_SECRET_KEYS": secrets.token_hex(32),
        **settings,
    }
    if database_url is not None:
        environment["TORANA_DATABASE_URL"] = database_url
    return environment


def _command(environment: Mapping[str, str], folder: Path, *arguments: str, stdin: str = "") -> str:
    result = subprocess.run(
        [TORANA, *arguments],
        env=dict(environment),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert result.returncode == 0, f"torana {arguments}: {result.stderr}"
    return result.stdout


@contextmanager
def _process(
    folder: Path, environment: Mapping[str, str], files: tuple[Path, Path]
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [str(TORANA), "serve"]
    setpriv = shutil.which("setpriv")
    if setpriv is not None:  # Ends the server even when the tests are killed.
        arguments = [setpriv, "--pdeathsig", "TERM", *arguments]
    with files[0].open("ab") as output, files[1].open("ab") as errors:
        process = subprocess.Popen(
            arguments,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        # Its workers are of its process group, and would otherwise outlive a master that died.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_KILL_SECONDS)


def _wait_until_ready(server: RunningServer) -> None:
    def ready() -> bool:
        if server.process.poll() is not None:
            raise AssertionError(f"the server ended: {server.output[-2000:]} {server.errors}")
        try:
            return server.request("GET", "/readyz", key="").status == 200
        except OSError:
            return False

    eventually(ready, "/readyz", seconds=READY_SECONDS)
