"""A started child: one process that leads a session and process group of its own.

It owns the operating system's part of a child: starting it, asking and killing. When to do so is
the supervisor's business.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torana.processes.child import Child
from torana.processes.family import Family
from torana.processes.output import OutputReader
from torana.settings import child_environment

LAUNCHER = Path(__file__).with_name("launch.py")


class Group(Protocol):
    """What a supervisor needs of a started child."""

    pid: int

    def poll(self) -> int | None:
        """The exit code of the leader, negative for a signal; None while it runs."""
        ...

    def alive(self) -> bool:
        """Whether the leader or anything it started runs."""
        ...

    def ask(self, number: signal.Signals) -> None:
        """Signal the leader, or what it left behind when it is gone."""
        ...

    def kill(self) -> None:
        """Kill the leader and everything it started."""
        ...

    def last_lines(self) -> Sequence[str]:
        """What it wrote last."""
        ...

    def close(self) -> None:
        """Give back what a group that is gone held."""
        ...


class StartedGroup:
    """A `Group` of real processes.

    Args:
        child: what to start.
        inherit: descriptors that it and what it starts hold open, such as the data folder's lock.

    Must be made in a thread that lives as long as this process: see `launch`.
    """

    def __init__(self, child: Child, *, inherit: Sequence[int] = ()) -> None:
        reader, writer = os.pipe()
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), child.argv0]
        try:
            self._process = subprocess.Popen(
                [*launcher, "--", *child.argv],
                env=child_environment(**child.env) if child.inherit_environment else child.env,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
                umask=child.umask,
                pass_fds=tuple(inherit),
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self.pid = self._process.pid
        self._output = OutputReader(child=child.name, descriptor=reader, output=child.output)
        self._family = Family(self.pid)

    def poll(self) -> int | None:
        """The exit code of the leader, negative for a signal; None while it runs."""
        return self._process.poll()

    def alive(self) -> bool:
        """Whether the leader or anything it started runs."""
        if self._process.poll() is None:
            return True
        self._family.bury()
        return self._family.alive()

    def ask(self, number: signal.Signals) -> None:
        """Signal the leader, or what it left behind when it is gone."""
        if self._process.poll() is None:
            self._family.look()
            self._process.send_signal(number)
        else:
            self._family.send(number)

    def kill(self) -> None:
        """Kill the leader and everything it started."""
        self._family.look()
        self._family.send(signal.SIGKILL)

    def last_lines(self) -> Sequence[str]:
        """What it wrote last; meant for a leader that is gone."""
        return self._output.last_lines()

    def close(self) -> None:
        """Pass on the rest of what it wrote."""
        self._output.close()
