"""One `torana up` a data folder: a lock that the kernel releases, whoever is killed.

It owns `<run_dir>/up.lock`. The lock is the open descriptor, not the file's existence; children
that inherit the descriptor keep the folder locked until the last of them is gone, so that a new
`up` never runs beside what a killed one left: two Redis on one append-only file destroy it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from torana.errors import ConfigurationError
from torana.processes.folders import make_private, unusable

LOCK_NAME = "up.lock"
POLL_SECONDS = 0.1


class DataFolderLock:
    """The held lock; a context manager. Pass `fd` on to the children.

    Args:
        run_dir: the run folder of the data folder; made, private, when it is missing.
        leftover_seconds: how long to wait while nobody but the remains of a killed `up` holds it.
        pause: waits the given seconds.

    Raises:
        ConfigurationError: another `up` holds it, or the folder cannot be used.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        leftover_seconds: float = 0.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.path = run_dir / LOCK_NAME
        self.fd = _open(self.path)
        try:
            self._take(leftover_seconds, pause)
        except BaseException:
            os.close(self.fd)
            raise
        os.truncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give it back; the file stays, because deleting it would race with a new `up`."""
        os.close(self.fd)

    def _take(self, leftover_seconds: float, pause: Callable[[float], object]) -> None:
        tries = max(1, round(leftover_seconds / POLL_SECONDS))
        for left in reversed(range(tries)):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            holder = _holder(self.fd)
            if holder is None or _lives(holder) or left == 0:
                raise _refusal(holder, self.path.parent)
            pause(POLL_SECONDS)


def _open(path: Path) -> int:
    make_private(path.parent.absolute())
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(path, error) from error


def _holder(fd: int) -> int | None:
    """The pid in the file; None while its writer is between locking and writing."""
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdecimal() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(holder: int | None, run_dir: Path) -> ConfigurationError:
    if holder is not None and not _lives(holder):
        return ConfigurationError(
            f"what an earlier `torana up` (pid {holder}) started still runs on this data folder.",
            hint=f"Wait until it has stopped: `fuser {run_dir / LOCK_NAME}` names the processes.",
        )
    pid = "unknown" if holder is None else holder
    return ConfigurationError(
        f"another `torana up` (pid {pid}) already runs on this data folder.",
        hint="Stop it, or set TORANA_DATA_DIR to another folder.",
    )
