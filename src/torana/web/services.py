"""What the views work with. Built by the composition root, carried by the application."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
from flask import Flask

from torana.auth.api_keys import KeyRing
from torana.db.session import Database
from torana.inference.free_calls import FreeCalls
from torana.inference.health import Health
from torana.inference.service import InferenceService
from torana.obs.metrics import Metrics
from torana.routing.catalog import Catalog
from torana.settings import Settings
from torana.web.hangups import HangupWatcher

_EXTENSION = "torana"


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The services of one web process.

    Attributes:
        draining: set when the process takes no new work.
        leave: says that this process holds no reservation any more.
    """

    settings: Settings
    database: Database
    key_ring: KeyRing
    catalog: Callable[[], Catalog]
    inference: InferenceService
    free_calls: FreeCalls
    health: Health
    metrics: Metrics
    hangups: HangupWatcher
    draining: threading.Event
    leave: Callable[[], None]


def attach(app: Flask, built: Services) -> None:
    """Give an application its services."""
    app.extensions[_EXTENSION] = built


def services(app: Flask) -> Services:
    """The services of an application (`flask.current_app` in a view)."""
    built: Services = app.extensions[_EXTENSION]
    return built
