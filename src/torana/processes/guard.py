"""Our end of the guard's pipe: keeps the guard process running and tells it which groups run.

It owns the guard process and nothing else; what the guard does when we die is in `guard_process`.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Sequence

PROGRAM = "torana.processes.guard_process"
CLOSE_SECONDS = 2.0

logger = logging.getLogger("torana.up")


class Guard:
    """The guard process of one supervisor.

    Args:
        grace_seconds: how long groups may go on after our death before they are killed.
        inherit: descriptors that the guard holds open as well, such as the data folder's lock.
    """

    def __init__(self, *, grace_seconds: float, inherit: Sequence[int] = ()) -> None:
        self._grace_seconds = grace_seconds
        self._inherit = tuple(inherit)
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: tuple[int, ...] = ()

    def tell(self, groups: Sequence[int]) -> None:
        """Say which groups run now; starts the guard, also when it was killed."""
        if self._process is not None and self._process.poll() is None:
            if tuple(groups) == self._groups:
                return
        else:
            self._restart()
        self._groups = tuple(groups)
        self._write()

    def close(self) -> None:
        """Let the guard go; nothing is left that it should end."""
        if self._process is None:
            return
        self._groups = ()
        self._write()
        self._end()

    def _restart(self) -> None:
        if self._process is not None:
            logger.warning("guard.died", extra={"exit_code": self._process.returncode})
            self._end()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM, str(self._grace_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            pass_fds=self._inherit,
        )

    def _write(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        line = " ".join(str(group) for group in self._groups) + "\n"
        with contextlib.suppress(BrokenPipeError):  # it was killed: the next `tell` restarts it
            self._process.stdin.write(line.encode())

    def _end(self) -> None:
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
