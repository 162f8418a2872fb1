"""Where log records go: stdout, and rotating files when a folder is set; never in a call's way.

A record costs its caller one append to a queue. A background thread (a greenlet under gevent) takes
what has gathered twenty times a second and hands it to the real handlers where blocking is allowed.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TextIO

from torana.obs.formats import LogstashFormatter, TextFormatter
from torana.offload import offload
from torana.settings import Settings

_FLUSH_SECONDS = 0.05
_QUEUE_LIMIT = 50_000
"""Records kept while the outside is slow; beyond it the oldest go, and the loss is logged."""


class BackgroundHandler(logging.Handler):
    """Queues records; `start` it after forking, `stop` it at the end.

    Args:
        stream: where lines go.
        formatter: how a record becomes a line.
        files: a handler of files beside it, with the same format.
    """

    def __init__(
        self,
        stream: TextIO,
        formatter: logging.Formatter,
        files: logging.Handler | None = None,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._format = formatter
        self._files = files
        self._queue: deque[logging.LogRecord] = deque(maxlen=_QUEUE_LIMIT)
        self._dropped = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue a record; a deque's append needs no lock."""
        if len(self._queue) >= _QUEUE_LIMIT:
            self._dropped += 1
        self._queue.append(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        self.handle(record)

    def start(self) -> None:
        """Begin to write in the background."""
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self.flush()

    def flush(self) -> None:
        """Write what is queued, now, in the caller's own thread."""
        self._write(self._take())

    def _run(self) -> None:
        while not self._stopping.wait(_FLUSH_SECONDS):
            if self._queue:
                # One trip to a native thread for all that has gathered: each trip is a fight for
                # the interpreter with the calls under way.
                offload(self._write, self._take())

    def _take(self) -> list[tuple[logging.LogRecord, str]]:
        """The queued records with their lines."""
        dropped, self._dropped = self._dropped, 0
        taken = []
        if dropped:
            taken.append(self._told(_event("logs.dropped", count=dropped)))
        for _ in range(len(self._queue)):
            try:
                record = self._queue.popleft()
            except IndexError:
                break  # Another writer was faster.
            taken.append(self._told(record))
        return [one for one in taken if one is not None]

    def _told(self, record: logging.LogRecord) -> tuple[logging.LogRecord, str] | None:
        try:
            return record, self._format.format(record)
        except Exception:  # noqa: BLE001 -- one record that can't be told must not end the log
            self._dropped += 1
            return None

    def _write(self, taken: list[tuple[logging.LogRecord, str]]) -> None:
        if not taken:
            return
        try:
            self._stream.write("".join([f"{line}\n" for _, line in taken]))
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads our stdout, or it is full: these lines are lost, the next may not be.
            self._dropped += len(taken)
        if self._files is not None:
            for record, _ in taken:
                self._files.handle(record)


def _event(name: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("torana.logs", logging.WARNING, "", 0, name, (), None)
    vars(record).update(fields)
    return record


def configure(settings: Settings, process: str) -> BackgroundHandler:
    """Send all logs of this process to their places. Call once per process, after forking.

    Args:
        settings: level, format, folder.
        process: which part of Torana this is.

    Returns:
        The running handler; it also stops at exit.
    """
    formatter: logging.Formatter = (
        LogstashFormatter(process) if settings.log_format == "json" else TextFormatter()
    )
    files = None
    if settings.log_dir is not None:
        files = _file_handler(settings, settings.log_dir)
        files.setFormatter(formatter)
    handler = BackgroundHandler(sys.stdout, formatter, files)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # The event's name says where it was logged, and finding the line walks the stack on every call.
    # The switch is from the standard library's own notes on optimization.
    logging._srcfile = None  # noqa: SLF001
    # A pool that is wider than its idle connections is no news.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    handler.start()
    atexit.register(handler.stop)
    return handler


def _file_handler(settings: Settings, folder: Path) -> logging.Handler:
    # Imported only where it is used: through its lock library it brings Redis's client along.
    from concurrent_log_handler import ConcurrentRotatingFileHandler  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    handler: logging.Handler = ConcurrentRotatingFileHandler(
        str(folder / "torana.log"),
        maxBytes=settings.log_max_bytes,
        backupCount=settings.log_backups,
        encoding="utf-8",
    )
    return handler
