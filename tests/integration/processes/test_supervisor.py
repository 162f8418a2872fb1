"""The supervisor over real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from torana.errors import ConfigurationError
from torana.processes.child import Child
from torana.processes.lock import DataFolderLock
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor

Runs = Callable[[int], bool]
WaitUntil = Callable[[Callable[[], object]], None]

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
"""A program that does not listen to SIGTERM."""


def python(name: str, code: str, *arguments: str, restart: bool = True) -> Child:
    return Child(name=name, argv=(sys.executable, "-c", code, *arguments), restart=restart)


def pid_of(supervisor: Supervisor, name: str) -> int:
    [state] = [state for state in supervisor.states() if state.name == name]
    return state.pid or 0


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_child_that_is_killed_is_started_again(
    supervisor: Supervisor, wait_until: WaitUntil, runs: Runs
) -> None:
    supervisor.start(python("web", "import time; time.sleep(600)"))
    first = pid_of(supervisor, "web")
    os.kill(first, signal.SIGKILL)

    def started_again() -> bool:
        supervisor.watch()
        return pid_of(supervisor, "web") not in (0, first)

    wait_until(started_again)
    assert runs(pid_of(supervisor, "web"))
    assert not runs(first)


def test_what_a_killed_child_started_is_gone_before_it_starts_again(
    supervisor: Supervisor, wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    code = "sleep 600 & echo $! >>$0; wait"
    supervisor.start(Child(name="web", argv=("sh", "-c", code, str(pids))))
    wait_until(lambda: len(lines(pids)) == 1)
    os.kill(pid_of(supervisor, "web"), signal.SIGKILL)

    def started_again() -> bool:
        supervisor.watch()
        return len(lines(pids)) == 2

    wait_until(started_again)
    before, now = lines(pids)
    assert not runs(before)
    assert runs(now)


def test_a_child_that_fails_at_start_shows_its_last_words(supervisor: Supervisor) -> None:
    code = "import sys; print('the disk is full', file=sys.stderr); sys.exit(4)"
    child = Child(name="web", argv=(sys.executable, "-c", code), ready=lambda: False)
    with pytest.raises(ConfigurationError, match="exit code 4") as caught:
        supervisor.start(child)
    assert "the disk is full" in caught.value.message


def test_a_program_that_is_missing_is_named(supervisor: Supervisor) -> None:
    child = Child(name="web", argv=("/no/such/program",), ready=lambda: False)
    with pytest.raises(ConfigurationError, match="cannot execute /no/such/program"):
        supervisor.start(child)


def test_stop_keeps_its_limit_with_a_child_that_does_not_listen(
    stopping: StopRequest, wait_until: WaitUntil, runs: Runs, capfd: pytest.CaptureFixture[str]
) -> None:
    with Supervisor(stopping, stop_seconds=2.0) as supervisor:
        supervisor.start(python("deaf", DEAF))
        supervisor.start(python("polite", "import time; time.sleep(600)"))
        wait_until(lambda: "deaf" in capfd.readouterr().err)
        pids = [pid_of(supervisor, "deaf"), pid_of(supervisor, "polite")]
        began = time.monotonic()
    assert time.monotonic() - began <= 2.0
    assert not any(map(runs, pids))


def test_stop_ends_grandchildren_and_those_with_a_session_of_their_own(
    stopping: StopRequest, wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    code = "sleep 600 & echo $! >>$0; setsid sleep 601 & echo $! >>$0; wait"
    with Supervisor(stopping, stop_seconds=5.0) as supervisor:
        supervisor.start(Child(name="web", argv=("sh", "-c", code, str(pids))))
        wait_until(lambda: len(lines(pids)) == 2 and all(map(runs, lines(pids))))
    assert not any(map(runs, lines(pids)))


def test_a_second_wish_to_stop_ends_all_at_once(
    stopping: StopRequest, wait_until: WaitUntil, capfd: pytest.CaptureFixture[str]
) -> None:
    with Supervisor(stopping, stop_seconds=60.0) as supervisor:
        supervisor.start(python("deaf", DEAF))
        wait_until(lambda: "deaf" in capfd.readouterr().err)
        stopping.set()
        stopping.set()
        began = time.monotonic()
    assert time.monotonic() - began < 10


def test_run_notices_a_death_by_signal_and_ends_on_sigterm(
    supervisor: Supervisor, stopping: StopRequest
) -> None:
    code = "import os, signal; os.kill(int(__import__('sys').argv[1]), signal.SIGTERM)"
    with stopping.on_signals():
        supervisor.start(python("web", code, str(os.getpid()), restart=False))
        supervisor.run()
    assert stopping.is_set()


def test_children_are_out_of_reach_of_the_terminal(supervisor: Supervisor) -> None:
    supervisor.start(python("web", "import time; time.sleep(600)"))
    pid = pid_of(supervisor, "web")
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) == pid != os.getsid(0)


def test_a_killed_guard_is_replaced(
    supervisor: Supervisor, others: set[int], wait_until: WaitUntil
) -> None:
    supervisor.start(python("web", "import time; time.sleep(600)"))

    def guards() -> list[int]:
        children = psutil.Process().children()
        ours = {child.pid for child in children} - others
        return sorted(ours - {pid_of(supervisor, "web")})

    [first] = guards()
    os.kill(first, signal.SIGKILL)

    def replaced() -> bool:
        supervisor.watch()
        return guards() not in ([first], [])

    wait_until(replaced)


# --- `up` itself is killed ---------------------------------------------------------------------

UP = """
import contextlib, sys
from pathlib import Path
from torana.processes.child import Child, StartCancelled
from torana.processes.lock import DataFolderLock
from torana.processes.stopping import StopRequest
from torana.processes.supervisor import Supervisor

folder, code = Path(sys.argv[1]), sys.argv[2]
stopping = StopRequest()
with (
    stopping.on_signals(),
    DataFolderLock(folder / "run") as lock,
    Supervisor(stopping, stop_seconds=1.0, inherit=(lock.fd,)) as supervisor,
):
    argv = (sys.executable, "-c", code, str(folder / "pids"))
    with contextlib.suppress(StartCancelled):
        supervisor.start(Child(name="web", argv=argv, ready=(folder / "pids").exists))
        supervisor.run()
"""

FAMILY = """
import os, signal, subprocess, sys, time
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "{deaf}":
    deaf()
grandchild = subprocess.Popen(["sleep", "600"], preexec_fn=deaf)
loner = subprocess.Popen(["sleep", "601"], preexec_fn=deaf, start_new_session=True)
with open(sys.argv[1] + ".new", "w") as file:
    print(os.getpid(), grandchild.pid, loner.pid, file=file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


def start_up(folder: Path, code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", UP, str(folder), code])


def test_nobody_is_left_when_up_is_killed(
    wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    up = start_up(tmp_path, FAMILY.replace("{deaf}", "deaf"))
    wait_until((tmp_path / "pids").exists)
    family = lines(tmp_path / "pids")
    everyone = {*family, *(child.pid for child in psutil.Process(up.pid).children(recursive=True))}
    assert len(everyone) == 4, "a child, two grandchildren and the guard"
    assert all(map(runs, everyone))
    up.kill()
    up.wait()
    wait_until(lambda: not any(map(runs, everyone)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of that")
def test_a_child_is_told_even_when_the_guard_is_killed_as_well(
    wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    up = start_up(tmp_path, code)
    wait_until(lambda: lines(tmp_path / "pids"))
    everyone = [child.pid for child in psutil.Process(up.pid).children(recursive=True)]
    [child] = lines(tmp_path / "pids")
    os.kill(up.pid, signal.SIGSTOP)  # it shall not see the guard go
    for pid in {*everyone} - {child}:
        os.kill(pid, signal.SIGKILL)
    assert runs(child)
    up.kill()
    up.wait()
    wait_until(lambda: not runs(child))


def test_the_folder_stays_locked_until_the_last_process_of_a_killed_up_is_gone(
    wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    up = start_up(tmp_path, FAMILY.replace("{deaf}", "deaf"))
    wait_until((tmp_path / "pids").exists)
    family = lines(tmp_path / "pids")
    with pytest.raises(ConfigurationError, match=rf"pid {up.pid}\) already runs"):
        DataFolderLock(tmp_path / "run")
    up.kill()
    up.wait()
    with DataFolderLock(tmp_path / "run", leftover_seconds=30):
        assert not any(map(runs, family))


def test_up_stops_on_sigint_though_a_script_started_it_in_the_background(
    wait_until: WaitUntil, runs: Runs, tmp_path: Path
) -> None:
    def as_a_shell_does() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    up = subprocess.Popen(
        [sys.executable, "-c", UP, str(tmp_path), FAMILY.replace("{deaf}", "")],
        preexec_fn=as_a_shell_does,  # noqa: PLW1509 -- this process has no threads to deadlock with
    )
    wait_until((tmp_path / "pids").exists)
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=30) == 0
    assert not any(map(runs, lines(tmp_path / "pids")))
