"""A process with everything it started: who of them runs, and signals to all of them.

It owns the reading of /proc. A family is the leader's session, and besides it those descendants
with sessions of their own that were seen while their parents lived: once a parent is gone, nothing
leads to them. Where there is no /proc, a family is the leader's process group.

Zombies don't count: in a container the first process often reaps nobody.
Standard library only, because the guard lives as long as `up`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
ENDED = frozenset("ZXx")


class Process(NamedTuple):
    """A running process, told from a later one with its pid by its start in clock ticks."""

    pid: int
    parent: int
    session: int
    started: int


class Family:
    """The leader of a session, and what it started.

    Args:
        leader: its pid, which is also the number of its session and process group.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._strays: frozenset[tuple[int, int]] = frozenset()
        self._gone = False

    def look(self) -> None:
        """Remember the descendants of now; before the parents among them are signalled."""
        everyone = running_processes()
        known = self._members(everyone)
        found = descendants({self._leader, *(member.pid for member in known)}, everyone)
        self._strays |= {(process.pid, process.started) for process in found}

    def leader_runs(self) -> bool:
        """Whether the leader itself runs."""
        if PROC.is_dir():
            return running_process(self._leader) is not None
        return _reaches(self._leader)

    def alive(self) -> bool:
        """Whether anyone of the family runs.

        Once they are gone they are gone for good: the system may give the number to strangers.
        """
        if not self._gone:
            everyone = running_processes()
            self._gone = not (self._members(everyone) if PROC.is_dir() else _reaches(-self._leader))
        return not self._gone

    def send(self, number: int) -> None:
        """Signal everyone of the family."""
        if not self.alive():
            return
        if not PROC.is_dir():
            _send(-self._leader, number)
        for process in self._members(running_processes()):
            _send(process.pid, number)

    def bury(self) -> None:
        """Reap those that were left to us, as happens to the first process of a container."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self._leader, os.WNOHANG) != (0, 0):
                pass
        for pid, _ in self._strays:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _members(self, everyone: frozenset[Process]) -> list[Process]:
        return [
            process
            for process in everyone
            if process.session == self._leader or (process.pid, process.started) in self._strays
        ]


def descendants(parents: set[int], everyone: frozenset[Process]) -> set[Process]:
    """Those of `everyone` that were started by `parents`, or by others of these."""
    children: dict[int, list[Process]] = {}
    for process in everyone:
        children.setdefault(process.parent, []).append(process)
    found: set[Process] = set()
    left = list(parents)
    while left:
        new = [process for process in children.get(left.pop(), ()) if process not in found]
        found.update(new)
        left.extend(process.pid for process in new)
    return found


def running_processes() -> frozenset[Process]:
    """Every process of this machine that runs; none where there is no /proc."""
    pids = (int(folder.name) for folder in PROC.glob("[0-9]*"))
    return frozenset(found for pid in pids if (found := running_process(pid)) is not None)


def running_process(pid: int) -> Process | None:
    """One process, from /proc/PID/stat (proc_pid_stat(5)); None when it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field, the name in parentheses, may hold anything; the third one comes after it.
    state, parent, _, session, *rest = text.rpartition(")")[2].split()
    if state in ENDED:
        return None
    return Process(pid=pid, parent=int(parent), session=int(session), started=int(rest[15]))


def _reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _send(pid: int, number: int) -> None:
    # Between the look and the signal it may have ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
