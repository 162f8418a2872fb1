"""What a child of `torana up` is, as a value, and how long to wait before starting it again.

Pure: it starts nothing and reads no clock.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace


class Output(enum.Enum):
    """Where the lines go that a child writes on its standard output and error."""

    FORWARD = "forward"
    """To our standard error as they are: the child writes our log format itself."""
    LOG = "log"
    """Each into our log as a `child.output` event: the child has a format of its own."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A program that `up` keeps running.

    Attributes:
        name: for log lines and messages; unique in a supervisor.
        argv: the program and its arguments. Anyone on this machine may read them: never a secret.
        argv0: the name under which the program sees itself; the program's path when empty. Not for
            Python programs, which find their installation through it.
        env: variables laid over ours; secrets travel here.
        inherit_environment: whether the child sees our environment as well.
        ready: whether the child serves now; must answer within about a second. None: it is ready
            once started.
        ready_seconds: how long it may take to be ready.
        gate: whether `start` waits until it is ready; otherwise `wait_ready` does.
        restart: whether it is started again when it ends.
        stop_signal: asks it to stop.
        stop_order: lower ones are asked first, equal ones together.
        output: where its lines go.
        umask: of the files it makes; -1 leaves ours.
        diagnose: from its last lines, what the operator can do when it could not be started.
    """

    name: str
    argv: tuple[str, ...]
    argv0: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_environment: bool = True
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 30.0
    gate: bool = True
    restart: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_order: int = 0
    output: Output = Output.FORWARD
    umask: int = -1
    diagnose: Callable[[Sequence[str]], str | None] | None = None


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next start of a child that ended.

    Attributes:
        next_seconds: the wait after the next end.
    """

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    settled_seconds: float = 60.0
    next_seconds: float = 0.5

    def after(self, lived_seconds: float) -> tuple[float, Backoff]:
        """The wait now, and the backoff for the end after this one.

        A child that lived long enough starts from the beginning: its end says nothing of its start.
        """
        wait = self.first_seconds if lived_seconds >= self.settled_seconds else self.next_seconds
        return wait, replace(self, next_seconds=min(2 * wait, self.longest_seconds))


class StartCancelled(Exception):
    """The operator asked to stop while children were being started; nothing failed."""
