"""The SQLite file is locked by somebody else, or on a full disk with all the rest."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.processes import Program, read_json_line, running, wait_until
from tests.chaos import upstream
from tests.chaos.gateway import READY_SECONDS, _environment
from tests.chaos.outages import confinement, sqlite_file
from tests.chaos.outages.gateways import Gateway, started, timed
from tests.chaos.outages.probe import Told, call, probing, quantile, summary
from tests.chaos.upstream import QUICK, SLOWEST, Upstream
from tests.support.server import DATABASE_FILE, make_seed

BUSY_SECONDS = 5.0
"""For so long a batch waits for the lock of somebody else; then its calls are turned away."""
NOISE_SECONDS = 1.5
DISK = "24m"
FAST, LONG = f"openai/{QUICK}", f"openai/{SLOWEST}"


@dataclass(frozen=True)
class Host:
    """A web server whose whole data folder is on one disk.

    Attributes:
        file: the database, as the web server sees it.
        environment: of commands beside it.
    """

    gateway: Gateway
    upstream: Upstream
    file: Path
    environment: dict[str, str]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the write lock for the length of a `with` block, as a backup or a person may."""
        program = Program(
            arguments=sqlite_file.command(self._pid, "lock", str(self.file)),
            environment=self.environment,
            folder=self.gateway.folder,
            log=self.gateway.folder / "lock.log",
            stop_signal=signal.SIGKILL,
        )
        with running(program, read_output=True) as process:
            assert read_json_line(process, 15) == "locked"
            yield

    def check(self, told: Sequence[Told]) -> int:
        """Each good answer has exactly one entry, what was served has one, the books agree."""
        found: dict[str, Any] = {}

        def settled() -> bool:
            found.update(self._look())
            return not found["reserved"]

        wait_until(settled, 20, "the last posting", poll_seconds=0.2)
        entries = found["entries"]
        served = {one.request_id for one in self.upstream.journal()}
        answered = {one.request_id for one in told if one.status == 200}
        assert found["wrong"] == []
        assert set(entries.values()) == {1}
        assert answered <= served
        assert served <= set(entries)
        return len(entries)

    @property
    def _pid(self) -> int | None:
        return None if self.gateway.disk is None else self.gateway.disk.pid

    def _look(self) -> dict[str, Any]:
        looked = subprocess.run(
            sqlite_file.command(self._pid, "look", str(self.file)),
            env=self.environment,
            cwd=self.gateway.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        found: dict[str, Any] = json.loads(looked.stdout)
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One for the module."""
    folder = tmp_path_factory.mktemp("sqlite-outages")
    (folder / "seed").mkdir()
    seed = make_seed(folder / "seed")
    data = folder / "data"
    data.mkdir()
    content = seed.database.parent
    if confinement.is_possible():
        before = confinement.confined(data, DISK, content=content)
    else:
        before = []
        content.rename(data)
    with upstream.started(folder) as simulator:
        simulator.begin()
        environment = _environment(folder, "", simulator.url)
        with started("sqlite", folder, environment, seed.key, before=before, disk=data) as gateway:
            wait_until(gateway.web.is_ready, READY_SECONDS, "the readiness of the web server")
            yield Host(gateway, simulator, data / DATABASE_FILE, environment)


def test_a_file_that_somebody_else_has_locked_holds_calls_up_and_loses_none(
    host: Host, figures, is_long: bool
):
    gateway = host.gateway
    with ThreadPoolExecutor() as pool, probing([gateway.ask(FAST)], pause=0.1) as probe:
        time.sleep(0.3)
        open_calls = [
            pool.submit(call, gateway.ask(LONG, stream=stream)) for stream in (False, True)
        ]
        wait_until(lambda: host.upstream.in_flight >= 2, 10, "open calls")
        probe.mark("lock")
        with host.locked():
            time.sleep(0.2)
            assert gateway.lives()
            assert gateway.ready() == "ready"  # It can be read.
            time.sleep(BUSY_SECONDS * 2 if is_long else 1.0)
            assert gateway.lives()
            probe.mark("end")
        healed = timed(lambda: call(gateway.ask(FAST)).status == 200, 10, "a call")
        finished = [one.result(30) for one in open_calls]
    during = probe.between("lock", "end")
    told = [*probe.told, *finished]
    entries = host.check(told)
    figures(
        "SQLite locked by somebody else",
        {
            "during": summary(during),
            "open calls finished in": summary(finished),
            "calls again after": f"{healed:.2f} s",
            "calls on the ledger": entries,
        },
    )
    assert [(one.status, one.whole) for one in finished] == [(200, True)] * 2
    assert {one.status for one in during} <= {200, 503}
    assert {one.code for one in during if one.status == 503} <= {"ledger_unavailable"}
    assert all(int(one.retry_after) >= 1 for one in during if one.status == 503)
    assert quantile(during, 1.0) < BUSY_SECONDS + NOISE_SECONDS


def test_a_full_disk_refuses_new_calls_and_finishes_the_open_ones(host: Host, figures):
    gateway = host.gateway
    disk = gateway.disk
    if disk is None:
        pytest.skip("this account may mount nothing")
    first = call(gateway.ask(FAST))
    with ThreadPoolExecutor() as pool, probing([gateway.ask(FAST)], pause=0.05) as probe:
        asks = [gateway.ask(LONG, stream=stream) for stream in (False, True)]
        open_calls = [pool.submit(call, ask) for ask in asks]
        wait_until(lambda: host.upstream.in_flight >= 2, 10, "open calls")
        probe.mark("full")
        disk.fill()
        try:
            finished = [one.result(30) for one in open_calls]
            wait_until(
                lambda: any(one.status == 503 for one in list(probe.told)), 20, "a refused call"
            )
            time.sleep(1.0)
            disk.fill()
            assert gateway.lives()
            probe.mark("end")
        finally:
            disk.make_room()
        healed = timed(lambda: call(gateway.ask(FAST)).status == 200, 10, "a call")
        gateway.wait_until_ready("ready", 10)
    during = probe.between("full", "end")
    told = [first, *probe.told, *finished]
    entries = host.check(told)
    refused = [one for one in during if one.status != 200]
    figures(
        "SQLite's disk is full",
        {
            "during": summary(during),
            "open calls finished in": summary(finished),
            "calls again after": f"{healed:.2f} s",
            "calls on the ledger": entries,
        },
    )
    assert [(one.status, one.whole) for one in finished] == [(200, True)] * 2
    assert refused
    assert {(one.status, one.code) for one in refused} <= {
        (503, "ledger_unavailable"),
        (503, "disk_full"),
    }
    assert all(int(one.retry_after) >= 1 for one in refused)
    assert quantile(refused, 0.5) < 0.3
    assert quantile(refused, 1.0) < NOISE_SECONDS
