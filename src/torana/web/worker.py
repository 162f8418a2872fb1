"""gunicorn's gevent worker with Torana's own drain.

gunicorn's graceful stop waits for idle keep-alive connections until its limit and then kills open
streams without their `finally`, so nothing would be posted. Here a stopping worker closes idle
connections at once, takes no new work, lets open answers finish until three seconds before the
limit, then ends them with an error event; each is posted.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from torana.errors import Draining, ToranaError

_TICK_SECONDS = 0.1
_NOTIFY_SECONDS = 1.0
_LAST_SECONDS = 3.0
"""Before the limit: when open answers are ended."""


class DrainingWorker(GeventWorker):  # type: ignore[misc]
    """A worker that stops without losing a row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._busy: set[socket.socket] = set()
        self._idle: dict[socket.socket, float] = {}

    def run(self) -> None:
        """Serve until told to stop, then drain."""
        servers = self._start_servers()
        notified = 0.0
        while self.alive:
            if time.monotonic() - notified >= _NOTIFY_SECONDS:
                self.notify()
                notified = time.monotonic()
                self._close_idle(notified - self.cfg.keepalive)
            gevent.sleep(_TICK_SECONDS)
        for server in servers:
            server.close()
        self._drain(time.monotonic() + self.cfg.graceful_timeout)
        for server in servers:
            server.stop(timeout=0.2)

    def notify(self) -> None:
        """Tell the master that this worker lives; when the master is gone, stop gracefully."""
        self.tmp.notify()
        if self.ppid != os.getppid():
            self.alive = False

    def timeout_ctx(self) -> contextlib.AbstractContextManager[None]:
        """No timer per request: `run` closes connections that were idle for too long."""
        return contextlib.nullcontext()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve a connection; it is idle between its requests."""
        self._idle[client] = time.monotonic()
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.pop(client, None)
            self._busy.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve a request; after the last one of a stopping worker the connection is closed."""
        self._idle.pop(sock, None)
        self._busy.add(sock)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            self._busy.discard(sock)
            self._idle[sock] = time.monotonic()
        if not self.alive:
            raise StopIteration

    def _start_servers(self) -> list[Any]:
        servers = []
        for listener in self.sockets:
            listener.setblocking(1)
            pool = Pool(self.worker_connections)

            def handle(client: Any, addr: Any, listener: Any = listener) -> None:
                self.handle(listener, client, addr)

            server = StreamServer(listener, handle=handle, spawn=pool)
            if self.cfg.workers > 1:
                server.max_accept = 1
            server.start()
            servers.append(server)
        return servers

    def _close_idle(self, since: float) -> None:
        """Close the connections that have been idle since then or longer."""
        for client, idle_since in list(self._idle.items()):
            if idle_since <= since:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def _drain(self, limit: float) -> None:
        # Imported late: the master imports this module, and must not import what gevent patches.
        from torana.web.services import services  # noqa: PLC0415

        built = services(self.wsgi)
        built.draining.set()
        inference = built.inference
        told = False
        while time.monotonic() < limit - 0.2:
            # A connection may have become idle since the last look.
            self._close_idle(time.monotonic())
            if not self._busy and not inference.open_calls:
                with contextlib.suppress(ToranaError):  # It only grows old in the table then.
                    built.leave()
                return
            if not told and time.monotonic() >= limit - _LAST_SECONDS:
                told = True
                inference.stop_open_calls(
                    Draining("The server is shutting down; send the request again.", retry_after=1)
                )
            self.notify()
            gevent.sleep(_TICK_SECONDS)
