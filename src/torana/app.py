"""The web service's composition root: `python -m torana.app` serves until it is told to stop.

The master process imports little and patches nothing; each worker is patched by gevent before it
imports the application.
"""

from __future__ import annotations

import logging
import resource
import sys
from typing import Any

import setproctitle
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from torana.errors import ConfigurationError
from torana.obs import logs
from torana.obs.metrics import prepare_folder, process_died
from torana.processes.ports import require_free_port
from torana.settings import Settings, load_settings

_KEEPALIVE_SECONDS = 75
_STUCK_SECONDS = 60


class _GunicornLogger(Logger):  # type: ignore[misc]
    """gunicorn's words go the way of all logs."""

    def setup(self, cfg: Any) -> None:
        """Add no handlers of its own."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        # Below this level it quotes what callers send, and what follows a body may be a prompt.
        self.error_log.setLevel(logging.ERROR)


class WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn with Torana's settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings."""
        settings = self._settings
        gevent = settings.worker_class == "gevent"
        options = {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.workers,
            "worker_class": "torana.web.worker.DrainingWorker" if gevent else "gthread",
            "threads": 1 if gevent else settings.worker_threads,
            "worker_connections": settings.worker_connections,
            "keepalive": _KEEPALIVE_SECONDS,
            "graceful_timeout": settings.shutdown_seconds,
            "timeout": _STUCK_SECONDS,
            "backlog": 4096,
            "accesslog": None,
            "logger_class": _GunicornLogger,
            "control_socket_disable": True,
            "pre_fork": _title_master,
            "post_fork": _title_worker,
            "child_exit": self._worker_ended,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _worker_ended(self, _server: Any, worker: Any) -> None:
        process_died(self._settings.metrics_dir, worker.pid)

    def load(self) -> Any:
        """The application of a worker that was just forked and patched."""
        from torana.runtime import build  # noqa: PLC0415 -- nothing of it may come before the patch

        return build(self._settings)


def _title_master(_server: Any, _worker: Any) -> None:
    setproctitle.setproctitle("torana: web master")


def _title_worker(_server: Any, _worker: Any) -> None:
    setproctitle.setproctitle("torana: web")


def check(settings: Settings) -> None:
    """Refuse to start what could not serve.

    Raises:
        ConfigurationError: a secret is missing, or the port is taken.
    """
    if not settings.secret_keys:
        raise ConfigurationError(
            "TORANA_SECRET_KEYS is not set, and `torana serve` does not start without it.",
            hint="Make one with `openssl rand -hex 32`; `torana up` makes its own.",
        )
    require_free_port(settings.host, settings.port)


def _allow_open_files() -> None:
    """Use all the open files that the system allows: a stream takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Serve; the entry of `python -m torana.app`."""
    try:
        settings = load_settings()
        check(settings)
        prepare_folder(settings.metrics_dir)
    except ConfigurationError as error:
        sys.exit(f"torana: {error.public_message}")
    logs.configure(settings, "web master")
    _allow_open_files()
    WebServer(settings).run()


if __name__ == "__main__":
    main()
