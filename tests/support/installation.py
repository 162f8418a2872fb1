"""A newcomer's installation for tests: `torana up` on a data folder, as its terminal shows it."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.processes import free_port
from tests.support.server import TORANA, eventually

START_SECONDS = 60.0
STOP_SECONDS = 20.0
WELCOME_END = "Ctrl-C stops everything."


@dataclass(frozen=True)
class Installation:
    """A running `torana up`."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self.log.read_text()

    @property
    def key(self) -> str:
        """The API key that a first start shows."""
        found = re.search(r"API key\s+(sk-tor-\w+)", self.output)
        assert found, self.output
        return found[1]

    def tree(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def titles(self) -> set[str]:
        """How its processes call themselves."""
        found = set()
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                found.add(" ".join(process.cmdline()).strip())
        return found

    def titled(self, title: str) -> list[psutil.Process]:
        """Its processes of exactly one title."""
        found = []
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                if " ".join(process.cmdline()).strip() == title:
                    found.append(process)
        return found


def environment(data_dir: Path, port: int) -> dict[str, str]:
    """What a newcomer's shell would hold, and nothing of ours."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(data_dir.parent),
        "LANG": "C.UTF-8",
        "TORANA_DATA_DIR": str(data_dir),
        "TORANA_PORT": str(port),
    }


@contextmanager
def started(
    folder: Path, *arguments: str, port: int | None = None, name: str = "data", **more: str
) -> Iterator[Installation]:
    """Run `torana up` until its welcome for the length of a `with` block, then stop it."""
    port = port or free_port()
    log = folder / f"up-{port}-{len(list(folder.iterdir()))}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [TORANA, "up", *arguments],
            cwd=folder,
            env={**environment(folder / name, port), **more},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    installation = Installation(process, port, folder / name, log)
    tree: list[psutil.Process] = []
    try:
        eventually(
            lambda: WELCOME_END in installation.output or process.poll() is not None,
            "the welcome",
            seconds=START_SECONDS,
        )
        assert process.poll() is None, installation.output
        tree = installation.tree()
        yield installation
    finally:
        with suppress(psutil.NoSuchProcess):
            tree = [*tree, *installation.tree()]
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        for left in psutil.wait_procs(tree, timeout=STOP_SECONDS)[1]:
            left.kill()


def refused(folder: Path, *arguments: str, port: int, name: str = "data", **more: str) -> str:
    """Run a `torana up` that must refuse to start; what it said."""
    result = subprocess.run(
        [TORANA, "up", *arguments],
        cwd=folder,
        env={**environment(folder / name, port), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
    return result.stderr
