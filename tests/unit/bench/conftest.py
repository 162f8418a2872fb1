"""A simulator that really runs, as its own process, and a plain client for it."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.measure import REPOSITORY
from bench.processes import Program, read_json_line, running


class Simulator:
    def __init__(self, url: str) -> None:
        self.url = url
        self.address = (str(urlsplit(url).hostname), int(urlsplit(url).port or 0))

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, json.loads(response.read()), headers
        finally:
            connection.close()

    def behave(self, **behaviour: object) -> None:
        status, _, _ = self.call("POST", "/_behaviour", behaviour)
        assert status == 200

    def account(self) -> Any:
        return self.call("GET", "/_account")[1]


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder: Path = tmp_path_factory.mktemp("simulator")
    program = Program(
        arguments=[sys.executable, "-m", "bench.simulator", "--port", "0"],
        environment={"PATH": os.defpath},
        folder=REPOSITORY,
        log=folder / "simulator.log",
    )
    with running(program, read_output=True) as process:
        line = read_json_line(process, 15)
        assert line["pid"] == process.pid
        yield Simulator(line["url"])


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    simulator_process.behave()
    simulator_process.call("POST", "/_reset")
    return simulator_process
