"""Starting, finding, measuring and ending processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bench.processes import (
    BenchError,
    Program,
    read_json_line,
    running,
    titled,
    tree,
    use,
    wait_until,
)

IGNORES_TERM_WITH_A_CHILD = """
import json, os, signal, sys
from setproctitle import setproctitle
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
setproctitle("bench test: child" if child == 0 else "bench test: parent")
if child:
    print(json.dumps({"child": child}), flush=True)
signal.pause()
"""


def program(folder: Path, source: str, **options: object) -> Program:
    arguments = [sys.executable, "-c", source]
    grace = float(str(options.get("grace", 0.05)))
    environment = {"PATH": os.defpath}
    log = folder / "log"
    return Program(
        arguments=arguments, environment=environment, folder=folder, log=log, grace=grace
    )


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_program_that_ignores_its_stop_signal_is_killed_with_its_children(tmp_path):
    with running(program(tmp_path, IGNORES_TERM_WITH_A_CHILD), read_output=True) as process:
        child = read_json_line(process, 10)["child"]
        wait_until(lambda: len(titled(process.pid, "bench test: child")) == 1, 10, "the title")
        assert {each.pid for each in tree(process.pid)} == {process.pid, child}
        used = use(tree(process.pid))
        assert used.pids == {process.pid, child}
        assert used.largest_rss > 1_000_000
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: gone(child), 10, "the end of the child")
    assert tree(process.pid) == []


def test_a_program_is_ended_when_the_block_fails(tmp_path):
    source = "import signal; signal.pause()"
    with pytest.raises(ZeroDivisionError), running(program(tmp_path, source, grace=10)) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM


def test_a_program_that_ends_without_a_line_is_an_error(tmp_path):
    with (
        running(program(tmp_path, "pass"), read_output=True) as process,
        pytest.raises(BenchError, match="without a line"),
    ):
        read_json_line(process, 10)


def test_a_program_that_prints_nothing_is_given_up(tmp_path):
    source = "import signal; signal.pause()"
    with (
        running(program(tmp_path, source), read_output=True) as process,
        pytest.raises(BenchError, match="no line"),
    ):
        read_json_line(process, 0.05)


def test_what_a_program_writes_goes_to_its_log(tmp_path):
    with running(program(tmp_path, "print('hello')", grace=10)) as process:
        process.wait(10)
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_condition_that_never_comes_true_is_named():
    with pytest.raises(BenchError, match="the flood did not happen"):
        wait_until(lambda: False, 0.01, "the flood")


def test_processes_that_are_gone_use_nothing():
    assert use([]) == use(tree(2**22 + 1))
