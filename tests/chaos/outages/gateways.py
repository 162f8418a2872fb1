"""A web server of one process, as its callers and its operator see it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Program, free_port, running, wait_until
from tests.chaos.gateway import Web
from tests.chaos.outages.confinement import Disk
from tests.chaos.outages.probe import Ask, get

_LIVE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running one.

    Attributes:
        disk: its small disk; None where namespaces are not allowed.
    """

    name: str
    web: Web
    folder: Path
    key: str
    disk: Disk | None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.web.port

    def ask(self, model: str, *, key: str = "", **more: Any) -> Ask:
        """A call of it; `more` are fields of `Ask`."""
        return Ask(port=self.port, key=key or self.key, model=model, **more)

    def ready(self) -> str:
        """What `/readyz` says: ready, degraded or unavailable."""
        return str(json.loads(get(self.port, "/readyz")[1])["status"])

    def lives(self) -> bool:
        """Whether `/healthz` answers well, and within a second."""
        status, _, seconds = get(self.port, "/healthz")
        return status == 200 and seconds < _LIVE_SECONDS

    def wait_until_ready(self, state: str, seconds: float) -> float:
        """Wait until `/readyz` says so; how many seconds that took."""
        return timed(lambda: self.ready() == state, seconds, f"{state} of {self.name}")

    def target_state(self, provider: str, model: str) -> str:
        """The state of a target as this process sees it."""
        status, body, _ = get(self.port, "/api/models/health", self.key)
        assert status == 200, body
        for target in json.loads(body)["data"]:
            if (target["provider"], target["model"]) == (provider, model):
                return str(target["state"])
        return "closed"

    def log(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log with an event."""
        lines = (self.folder / "web.log").read_text().splitlines()
        return [json.loads(line) for line in lines if f'"event":"{event}"' in line]


def timed(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for a condition; how many seconds that took."""
    began = time.monotonic()
    wait_until(condition, seconds, what)
    return time.monotonic() - began


@contextmanager
def started(
    name: str,
    folder: Path,
    environment: Mapping[str, str],
    key: str,
    *,
    before: Sequence[str],
    disk: Path,
) -> Iterator[Gateway]:
    """Start a web server for the length of a `with` block; it may not be ready at first.

    Args:
        name: in messages.
        folder: of its log.
        environment: of the process; the port and what is alike for all is added.
        key: of its callers.
        before: the beginning of the command line, see `confined`.
        disk: where its small disk is, if `before` makes one.
    """
    port = free_port()
    own = {
        "PATH": f"{environment['PATH']}{os.pathsep}/usr/sbin:/sbin",
        "TORANA_PORT": str(port),
        "TORANA_WORKERS": "1",
        "TORANA_SHUTDOWN_SECONDS": "10",
    }
    module = ("-m", "tests.chaos.web_process", "--folder", folder)
    program = Program(
        arguments=[*before, sys.executable, *module],
        environment={**environment, **own},
        folder=folder,
        log=folder / "web.log",
        stop_signal=signal.SIGKILL,
    )
    with running(program) as process:
        web = Web(process=process, port=port, workers=1)
        found = Disk(process.pid, disk) if before else None
        yield Gateway(name=name, web=web, folder=folder, key=key, disk=found)
