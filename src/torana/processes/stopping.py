"""The wish to stop, from a signal or from code, as something that a loop can wait for.

`threading.Event` would not do: its `set` takes a lock that the interrupted main thread may hold.
A pipe to ourselves has no lock, and a child's end (SIGCHLD) can wake the loop through it as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Protocol


class Stopping(Protocol):
    """What a supervisor needs of the wish to stop."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def is_urgent(self) -> bool:
        """Whether to stop without any more patience."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait at most so long, less when something happened; whether to stop."""
        ...


class StopRequest:
    """A `Stopping` that signals may set; asking a second time makes it urgent."""

    def __init__(self) -> None:
        self._asked = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        """Ask to stop; safe in a signal handler."""
        self._asked += 1
        self.wake()

    def wake(self) -> None:
        """End a `wait` early; safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full: it will wake anyway
            os.write(self._writer, b"!")

    def is_set(self) -> bool:
        """Whether anyone asked."""
        return self._asked > 0

    def is_urgent(self) -> bool:
        """Whether someone asked again."""
        return self._asked > 1

    def wait(self, seconds: float) -> bool:
        """Wait at most so long, less when `set` or `wake` was called; whether to stop."""
        readable, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        return self.is_set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within it, SIGINT, SIGTERM and SIGHUP ask to stop; only for the main thread.

        An ignored SIGHUP stays ignored, as nohup means it. An ignored SIGINT does not: a script's
        shell ignores it for what it starts with `&`, and would find no way to ask politely.
        """

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.set()

        def wake(_number: int, _frame: FrameType | None) -> None:
            self.wake()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, wake)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                # None stands for a handler that was not set from Python.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def close(self) -> None:
        """Give the pipe back; not while signals may still arrive."""
        os.close(self._reader)
        os.close(self._writer)
