"""Starts the children of `torana up`, keeps them running, and stops them all in a bounded time.

It owns when a child is started, restarted, asked to stop and killed. It must not know what the
children are: `up` composes them. Nobody is left behind: on Linux each child is signalled at our
death (`launch`), and everywhere the guard ends what that leaves (`guard_process`).

A `Supervisor` belongs to the thread that made it, because the kernel ties a child to the thread
that started it; that must be one that lives as long as the process: the main thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from torana.errors import ConfigurationError
from torana.processes.child import Backoff, Child, StartCancelled
from torana.processes.group import Group, StartedGroup
from torana.processes.guard import Guard
from torana.processes.stopping import Stopping

WATCH_SECONDS = 0.5
POLL_SECONDS = 0.02
LEFTOVER_SECONDS = 5.0
"""How long what a dead child left behind may take to end before the child is started again."""
KILL_SECONDS = 0.25
"""How long killed processes take to be gone, at most."""
RESERVED_SHARE = 0.15
"""Of the whole time to stop, what each stage leaves for each stage after it."""

logger = logging.getLogger("torana.up")


@dataclass(frozen=True)
class ChildState:
    """A child as it is at one moment; `pid` is None while it waits to be started again."""

    name: str
    pid: int | None
    ready: bool
    restarts: int


@dataclass
class _Slot:
    """A child's place: the group that runs now, or that has ended and is to be cleared away."""

    child: Child
    group: Group
    started_at: float
    ready: bool = False
    running: bool = True
    restarts: int = 0
    ended_at: float = 0.0
    restart_at: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """A tree of children; a context manager that stops them all at its end.

    Args:
        stopping: the wish to stop; it ends `run`, cancels `start` and hurries `stop`.
        stop_seconds: how long `stop` takes at most.
        inherit: descriptors that every process of the tree holds open. With the data folder's lock
            among them, the folder stays locked until the last process is gone, whoever is killed.
        guard: ends the tree when this process is killed.
        spawn: starts a child.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stopping: Stopping,
        *,
        stop_seconds: float = 10.0,
        inherit: Sequence[int] = (),
        guard: Guard | None = None,
        spawn: Callable[[Child], Group] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stopping = stopping
        self._stop_seconds = stop_seconds
        self._guard = guard or Guard(grace_seconds=stop_seconds, inherit=inherit)
        self._spawn = spawn or (lambda child: StartedGroup(child, inherit=inherit))
        self._clock = clock
        self._slots: list[_Slot] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def states(self) -> tuple[ChildState, ...]:
        """The children in the order of their start."""
        return tuple(
            ChildState(
                name=slot.child.name,
                pid=slot.group.pid if slot.running else None,
                ready=slot.running and slot.ready,
                restarts=slot.restarts,
            )
            for slot in self._slots
        )

    # --- start ---------------------------------------------------------------------------------

    def start(self, child: Child) -> None:
        """Start a child, and wait until it is ready unless it says not to (`gate`).

        Raises:
            ConfigurationError: it ended, or was not ready in time; the message has its last lines.
            StartCancelled: the operator asked to stop meanwhile.
        """
        if self._stopping.is_set():
            raise StartCancelled
        slot = _Slot(child=child, group=self._launch(child), started_at=self._clock())
        self._slots.append(slot)
        self._tell_guard()
        if child.gate:
            self._await_ready(slot)

    def wait_ready(self) -> None:
        """Wait for the children that `start` did not wait for; raises like `start`."""
        for slot in self._slots:
            self._await_ready(slot)

    def _launch(self, child: Child) -> Group:
        if threading.get_ident() != self._thread:
            raise RuntimeError("a supervisor belongs to the thread that made it")
        group = self._spawn(child)
        logger.info("child.started", extra={"child": child.name, "pid": group.pid})
        return group

    def _await_ready(self, slot: _Slot) -> None:
        deadline = slot.started_at + slot.child.ready_seconds
        while not slot.ready:
            if (code := slot.group.poll()) is not None:
                raise _start_error(slot, f"ended with {_describe(code)} before it was ready")
            if self._note_ready(slot):
                return
            if self._clock() >= deadline:
                waited = f"was not ready within {slot.child.ready_seconds:g} s"
                slot.group.kill()
                raise _start_error(slot, waited)
            if self._stopping.wait(POLL_SECONDS):
                raise StartCancelled

    def _note_ready(self, slot: _Slot) -> bool:
        if not slot.ready and (slot.child.ready is None or slot.child.ready()):
            slot.ready = True
            took = round(self._clock() - slot.started_at, 3)
            logger.info("child.ready", extra={"child": slot.child.name, "seconds": took})
        return slot.ready

    # --- run -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Watch the children, and restart those that end, until the wish to stop."""
        while not self._stopping.wait(WATCH_SECONDS):
            self.watch()

    def watch(self) -> None:
        """Look once at every child; never waits, except for a `ready` probe."""
        for slot in self._slots:
            if not slot.running:
                self._clear_and_restart(slot)
            elif (code := slot.group.poll()) is not None:
                self._note_end(slot, code)
            elif not slot.ready and not self._note_ready(slot):
                self._give_up_on_hanging(slot)
        self._tell_guard()

    def _note_end(self, slot: _Slot, code: int) -> None:
        now = self._clock()
        slot.running = False
        slot.ready = False
        slot.ended_at = now
        wait, slot.backoff = slot.backoff.after(now - slot.started_at)
        slot.restart_at = now + wait
        event = {"child": slot.child.name, "exit_code": code}
        if slot.child.restart:
            logger.warning("child.died", extra={**event, "restart_in": wait})
        else:
            logger.warning("child.ended", extra=event)
        slot.group.ask(slot.child.stop_signal)

    def _clear_and_restart(self, slot: _Slot) -> None:
        """Start again, but never beside what is left of the last time: it may hold the port."""
        now = self._clock()
        if slot.group.alive():
            if now < slot.ended_at + LEFTOVER_SECONDS:
                return
            logger.warning("child.leftovers_killed", extra={"child": slot.child.name})
            slot.group.kill()
        if not slot.child.restart or now < slot.restart_at:
            return
        slot.group.close()
        slot.started_at = now
        try:
            slot.group = self._launch(slot.child)
        except OSError as error:  # no memory or no process left: for now, we hope
            wait, slot.backoff = slot.backoff.after(0.0)
            slot.restart_at = now + wait
            event = {"child": slot.child.name, "error": str(error), "restart_in": wait}
            logger.exception("child.not_started", extra=event)
            return
        slot.running = True
        slot.restarts += 1

    def _give_up_on_hanging(self, slot: _Slot) -> None:
        if self._clock() >= slot.started_at + slot.child.ready_seconds:
            logger.warning("child.not_ready", extra={"child": slot.child.name})
            slot.group.kill()

    # --- stop ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask the children to stop, stage by stage, and kill what does not within its time.

        A stage is the children of one `stop_order`. It has all the time but what is reserved for
        the stages after it, so that web's long streams do not take Redis its chance to write.
        """
        deadline = self._clock() + self._stop_seconds
        reserved = self._stop_seconds * RESERVED_SHARE
        stages = sorted({slot.child.stop_order for slot in self._slots})
        for later, order in reversed(list(enumerate(reversed(stages)))):
            stage = [s for s in reversed(self._slots) if s.child.stop_order == order]
            self._stop_stage(stage, deadline - KILL_SECONDS - later * reserved)
        for slot in self._slots:
            slot.group.close()
        self._slots.clear()
        self._guard.close()

    def _stop_stage(self, stage: list[_Slot], deadline: float) -> None:
        led = [slot for slot in stage if slot.group.poll() is None]
        for slot in stage:
            slot.group.ask(slot.child.stop_signal)
        self._await_gone(stage, deadline, led=led)
        survivors = [slot for slot in stage if slot.group.alive()]
        for slot in survivors:
            logger.warning("child.killed", extra={"child": slot.child.name})
            slot.group.kill()
        self._await_killed(survivors, self._clock() + KILL_SECONDS)
        for slot in stage:
            if slot.group.alive():  # it waits for a disk, say: not even a kill can end it now
                logger.error("child.stuck", extra={"child": slot.child.name})
            else:
                logger.info("child.stopped", extra={"child": slot.child.name})

    def _await_gone(self, stage: list[_Slot], deadline: float, *, led: list[_Slot]) -> None:
        """Wait for groups to end; what a leader of `led` leaves behind is asked, as it was."""
        while any(slot.group.alive() for slot in stage) and self._clock() < deadline:
            if self._stopping.is_urgent():
                return
            for slot in [slot for slot in led if slot.group.poll() is not None]:
                led.remove(slot)
                slot.group.ask(slot.child.stop_signal)
            self._stopping.wait(POLL_SECONDS)

    def _await_killed(self, slots: list[_Slot], deadline: float) -> None:
        while any(slot.group.alive() for slot in slots) and self._clock() < deadline:
            self._stopping.wait(POLL_SECONDS)

    def _tell_guard(self) -> None:
        self._guard.tell([slot.group.pid for slot in self._slots if slot.group.alive()])


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _start_error(slot: _Slot, what: str) -> ConfigurationError:
    lines = slot.group.last_lines()
    message = f"`{slot.child.name}` {what}."
    if lines:
        message = "\n  ".join([f"{message} Its last lines:", *lines])
    hint = slot.child.diagnose(lines) if slot.child.diagnose is not None else None
    return ConfigurationError(message, hint=hint)
