"""Starting the processes of a measurement, ending them on every path, and reading what they use.

Every process gets its own session, so that Ctrl-C reaches only the program that measures, which
then ends the others in order; `setpriv`, where there is one, ends them even when it is killed.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

KILL_SECONDS = 5.0


class BenchError(Exception):
    """Something that the measurement needs did not work; the message is for whoever runs it."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start and how to end it.

    `log` receives standard error, and standard output too unless that is read; `user` is whom root
    runs it as; `stop_signal` asks it to end, and after `grace` seconds it is killed.
    """

    arguments: Sequence[str | Path]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 15.0


@contextmanager
def running(program: Program, *, read_output: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the length of a `with` block, and leave nothing of it behind."""
    arguments = [str(argument) for argument in program.arguments]
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        arguments = [
            setpriv,
            "--pdeathsig",
            program.stop_signal.name.removeprefix("SIG"),
            *arguments,
        ]
    with program.log.open("ab") as log:
        process = subprocess.Popen(
            arguments,
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if read_output else log,
            stderr=log,
            start_new_session=True,
            user=program.user,
            extra_groups=None if program.user is None else [],
        )
    try:
        yield process
    finally:
        _end(process, program)


def _end(process: subprocess.Popen[bytes], program: Program) -> None:
    if process.poll() is None:
        process.send_signal(program.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(program.grace)
    # What is left of its session would otherwise outlive it, its children included.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(KILL_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


def read_json_line(process: subprocess.Popen[bytes], seconds: float) -> Any:
    """The first line that a program prints, as JSON.

    Raises:
        BenchError: When it prints none in time, or ends.
    """
    if process.stdout is None:
        raise BenchError("the program's output is not read")
    data = b""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not data.endswith(b"\n"):
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise BenchError(f"no line from {process.args!r} within {seconds:g} s")
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                raise BenchError(f"{process.args!r} ended without a line")
            data += part
    return json.loads(data)


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, *, poll_seconds: float = 0.02
) -> None:
    """Wait for a condition.

    Raises:
        BenchError: When it does not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} did not happen within {seconds:g} s")
        time.sleep(poll_seconds)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Use:
    """What a group of processes has used: CPU seconds since their start, and memory now."""

    cpu_seconds: float
    largest_rss: int
    pids: frozenset[int]


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def titled(pid: int, title: str) -> list[psutil.Process]:
    """The processes of a tree that carry a title, set with setproctitle."""
    found = []
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).strip() == title:
                found.append(process)
    return found


def use(processes: Sequence[psutil.Process]) -> Use:
    """Read utime + stime and the resident set of each process that still lives."""
    cpu, rss, pids = 0.0, 0, set()
    for process in processes:
        with suppress(psutil.NoSuchProcess), process.oneshot():
            times = process.cpu_times()
            cpu += times.user + times.system
            rss = max(rss, process.memory_info().rss)
            pids.add(process.pid)
    return Use(cpu, rss, frozenset(pids))
