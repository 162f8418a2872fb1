import os
import subprocess
import sys
from pathlib import Path

import torana.processes.launch as module

SCRIPT = Path(module.__file__)


def launch(parent: int, *rest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, str(parent), *rest],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_becomes_the_program() -> None:
    done = launch(os.getpid(), "", "--", sys.executable, "-c", "print('hello')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_the_program_sees_the_name_that_it_is_given() -> None:
    done = launch(os.getpid(), "another-name", "--", "sh", "-c", "echo $0")
    assert done.stdout == "another-name\n"


def test_a_program_that_is_missing_is_named() -> None:
    done = launch(os.getpid(), "", "--", "/no/such/program")
    assert done.returncode == 127
    assert "cannot execute /no/such/program" in done.stderr


def test_signals_that_python_ignores_are_the_programs_own_again() -> None:
    code = "import signal; print(signal.getsignal(signal.SIGXFSZ))"
    text = "grep SigIgn /proc/self/status"
    if sys.platform == "linux":
        done = launch(os.getpid(), "", "--", "sh", "-c", text)
        assert int(done.stdout.split()[1], 16) & (1 << 12 | 1 << 24) == 0
    else:
        assert launch(os.getpid(), "", "--", sys.executable, "-c", code).returncode == 0


def test_it_does_not_start_the_program_of_a_parent_that_is_gone() -> None:
    if sys.platform == "linux":
        assert launch(os.getppid(), "", "--", "echo", "orphan").stdout == ""
