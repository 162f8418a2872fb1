"""The upstream simulator as a process of the tests: what it is told to do, and its own books."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.processes import Program, read_json_line, running

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK, SLOW, SLOWEST = "quick", "slow", "slowest"
"""Models that answer at once, after some milliseconds, and after a second and a half."""
_CONTROL_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Served:
    """A call in the simulator's journal: what it would bill, and what the gateway called it."""

    request_id: str
    attempt: int
    input_tokens: int
    output_tokens: int
    state: str


class Upstream:
    """The simulator.

    Attributes:
        url: with the version, as a provider's base URL.
    """

    def __init__(self, url: str) -> None:
        self._address = (str(urlsplit(url).hostname), int(urlsplit(url).port or 0))
        self.url = f"{url}/v1"

    def begin(self) -> None:
        """Open new books; the bill follows from each request alone."""
        bill: dict[str, Any] = {"bill": "request", "journal": True, "chunks": 8}
        slow = bill | {"latency_ms": 20, "chunk_ms": 3}
        slowest = bill | {"latency_ms": 1500, "chunk_ms": 2}
        self._call("POST", "/_behaviour", bill | {"models": {SLOW: slow, SLOWEST: slowest}})
        self._call("POST", "/_reset")

    def journal(self) -> list[Served]:
        """All calls that were served; none may be under way."""
        account = self._call("GET", "/_account")
        assert account["in_flight"] == 0, account["in_flight"]
        return [
            Served(
                request_id=entry["request_id"],
                attempt=int(entry["attempt"]),
                input_tokens=entry["input_tokens"],
                output_tokens=entry["output_tokens"],
                state=entry["state"],
            )
            for entry in account.get("journal", {}).values()
        ]

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return int(self._call("GET", "/_account")["in_flight"])

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(*self._address, timeout=_CONTROL_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            return json.loads(response.read())
        finally:
            connection.close()


@contextmanager
def started(folder: Path) -> Iterator[Upstream]:
    """A simulator for the length of a `with` block."""
    program = Program(
        arguments=[sys.executable, "-m", "bench.simulator", "--port", "0"],
        environment={"PATH": os.defpath},
        folder=REPOSITORY,
        log=folder / "simulator.log",
    )
    with running(program, read_output=True) as process:
        yield Upstream(read_json_line(process, 15)["url"])
