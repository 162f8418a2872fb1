import os
import subprocess
import sys
from pathlib import Path

import pytest

from torana.errors import ConfigurationError
from torana.processes.lock import DataFolderLock


def never(_seconds: float) -> None:
    pytest.fail("waited for an `up` that lives")


def test_a_second_up_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with (
        DataFolderLock(tmp_path / "run"),
        pytest.raises(
            ConfigurationError,
            match=rf"another `torana up` \(pid {os.getpid()}\) already runs on this data folder",
        ),
    ):
        DataFolderLock(tmp_path / "run", leftover_seconds=60, pause=never)


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolderLock(tmp_path / "run") as lock:
            assert lock.path.read_text() == f"{os.getpid()}\n"


def test_the_folder_and_the_file_are_private(tmp_path: Path) -> None:
    with DataFolderLock(tmp_path / "data" / "run") as lock:
        assert lock.path.stat().st_mode & 0o777 == 0o600
        assert lock.path.parent.stat().st_mode & 0o777 == 0o700
        assert lock.path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_leftovers_of_a_dead_up_are_waited_for(tmp_path: Path) -> None:
    leftover = dead_holder(tmp_path)
    waits = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            os.close(leftover)

    with DataFolderLock(tmp_path, leftover_seconds=60, pause=pause):
        assert len(waits) == 3


def test_leftovers_that_stay_are_named(tmp_path: Path) -> None:
    leftover = dead_holder(tmp_path)
    with pytest.raises(ConfigurationError, match="what an earlier `torana up`"):
        DataFolderLock(tmp_path, leftover_seconds=1, pause=lambda _: None)
    os.close(leftover)


def dead_holder(run_dir: Path) -> int:
    """A descriptor that a killed `up` left with a child: still locked, its writer gone."""
    lock = DataFolderLock(run_dir)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock.path.write_text(f"{gone.pid}\n")
    kept = os.dup(lock.fd)
    lock.release()
    return kept


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        DataFolderLock(tmp_path / "file" / "run")
