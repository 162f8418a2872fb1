"""Noticing that a caller has hung up while its answer is still being made.

A server that only writes learns of a closed connection with its next write, which may be minutes
away. One watcher per process asks the kernel about all open connections four times a second: one
system call, whatever their number.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable

import msgspec

from torana.offload import native_poll

logger = logging.getLogger("torana.web")

_PERIOD_SECONDS = 0.25
# The peer has closed its side. Only Linux tells this without reading; elsewhere a hang-up shows
# with the next write.
_PEER_CLOSED: int = getattr(select, "POLLRDHUP", 0)


class _Watch(msgspec.Struct):
    hung_up: Callable[[float], None] | None = None
    gone_at: float | None = None


class HangupWatcher:
    """Watches the connections of callers; `start` it after forking."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, _Watch] = {}
        self._poll = native_poll()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch in the background."""
        self._thread = threading.Thread(target=self._run, name="hangups", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopping.set()

    def link(self, descriptor: int) -> Link:
        """The connection of a caller, by its file descriptor."""
        return Link(self, descriptor)

    def run_once(self, now: float) -> None:
        """Ask once, and tell those whose caller has gone."""
        with self._lock:
            for descriptor, _ in self._poll.poll(0):
                watch = self._watches.get(descriptor)
                if watch is None:
                    self._poll.unregister(descriptor)
                elif watch.gone_at is None:
                    watch.gone_at = now
            gone = [watch for watch in self._watches.values() if watch.gone_at is not None]
        for watch in gone:
            if watch.hung_up is None or watch.gone_at is None:
                continue
            try:
                watch.hung_up(now - watch.gone_at)
            except Exception:
                # One call that breaks must not end the watch for all.
                logger.exception("hangup.broken")

    def _run(self) -> None:
        while not self._stopping.wait(_PERIOD_SECONDS):
            if self._watches:
                self.run_once(time.monotonic())

    def begin(self, descriptor: int, hung_up: Callable[[float], None]) -> _Watch:
        """Watch a connection; see `Link.watch`."""
        watch = _Watch(hung_up)
        with self._lock:
            self._watches[descriptor] = watch
            self._poll.register(descriptor, _PEER_CLOSED)
        return watch

    def end(self, descriptor: int, watch: _Watch) -> None:
        """Stop watching a connection, before its descriptor is closed and used again."""
        with self._lock:
            if self._watches.get(descriptor) is watch:
                del self._watches[descriptor]
                self._poll.unregister(descriptor)


class Link:
    """One caller's connection; see `torana.inference.caller.CallerLink`."""

    def __init__(self, watcher: HangupWatcher, descriptor: int) -> None:
        self._watcher = watcher
        self._descriptor = descriptor
        self._watch: _Watch | None = None

    def gone(self) -> bool:
        """Whether the caller has hung up, as far as the watcher has seen."""
        return self._watch is not None and self._watch.gone_at is not None

    def watch(self, hung_up: Callable[[float], None]) -> Callable[[], None]:
        """Begin to watch; `hung_up` gets the seconds since, again and again."""
        watch = self._watch = self._watcher.begin(self._descriptor, hung_up)
        return lambda: self._watcher.end(self._descriptor, watch)
