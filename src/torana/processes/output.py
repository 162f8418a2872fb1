"""What children write: forwarded or logged, and the last lines kept for error messages.

One thread a child reads its pipe, so that no child ever waits for a busy supervisor. It must not
know what the lines mean.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import threading

from torana.processes.child import Output

CHUNK_BYTES = 64 * 1024
KEPT_LINES = 20
KEPT_CHARACTERS = 500

logger = logging.getLogger("torana.up")


class OutputReader:
    """Reads one child's pipe to its end, in a thread of its own.

    Args:
        child: the child's name.
        descriptor: the pipe's read end; the reader closes it.
        output: where the lines go.
        target: the descriptor that `Output.FORWARD` writes to.
    """

    def __init__(self, *, child: str, descriptor: int, output: Output, target: int = 2) -> None:
        self._child = child
        self._descriptor = descriptor
        self._output = output
        self._target = target
        self._last: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        # A daemon, because a process that outlives its group may hold the pipe open for ever.
        self._thread = threading.Thread(target=self._read, name=f"output-{child}", daemon=True)
        self._thread.start()

    def last_lines(self, seconds: float = 0.5) -> tuple[str, ...]:
        """The last lines of a child that ended; waits `seconds` at most for the pipe's end."""
        self._thread.join(seconds)
        return tuple(self._last.copy())

    def close(self, seconds: float = 0.5) -> None:
        """Wait until all that the child wrote is passed on, `seconds` at most."""
        self._thread.join(seconds)

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := os.read(self._descriptor, CHUNK_BYTES):
                # Only whole lines leave, so that two children's lines never mix.
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                if len(rest) > CHUNK_BYTES:
                    whole, newline, rest = whole + newline + rest, b"\n", b""
                if newline:
                    self._pass_on(whole + newline)
            if rest:
                self._pass_on(rest + b"\n")
        finally:
            os.close(self._descriptor)

    def _pass_on(self, lines: bytes) -> None:
        texts = [line.decode(errors="replace").rstrip() for line in lines.splitlines()]
        self._last.extend(text[:KEPT_CHARACTERS] for text in texts if text)
        if self._output is Output.LOG:
            for text in filter(None, texts):
                logger.info("child.output", extra={"child": self._child, "line": text})
            return
        # Where nobody reads our standard error any more, the child goes on all the same.
        with contextlib.suppress(OSError):
            view = memoryview(lines)
            while view:
                view = view[os.write(self._target, view) :]
