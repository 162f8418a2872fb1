"""The real application around services of which only the edge is used."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from pydantic import SecretStr

from tests.unit.inference.fakes import PRINCIPAL, RecordingMetrics
from torana.auth.api_keys import KeyRing
from torana.auth.principal import Principal
from torana.errors import KeyRevoked, NotAuthenticated
from torana.inference.health import Health
from torana.obs.metrics import Metrics
from torana.routing.catalog import Catalog
from torana.settings import Settings
from torana.web.application import create_app
from torana.web.endpoint import ToranaApp
from torana.web.services import Services

GOOD_KEY = "sk-tor-good"
LIMIT = 2048


class Keys(KeyRing):
    """Knows one key, and remembers how it was asked."""

    def __init__(self) -> None:
        self.principal: Principal = PRINCIPAL
        self.asked: list[tuple[str, bool]] = []

    def authenticate(self, text: str, *, fresh: bool = False) -> Principal:
        self.asked.append((text, fresh))
        if text == "sk-tor-revoked":
            raise KeyRevoked("This API key has been revoked.")
        if text != GOOD_KEY:
            raise NotAuthenticated("Incorrect API key provided.")
        return self.principal


class EdgeMetrics(RecordingMetrics):
    """Remembers the codes of errors, too."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[str] = []

    def error(self, code: str) -> None:
        self.codes.append(code)


class Edge:
    """An application with its keys and its metrics.

    Attributes:
        catalog: what may be called.
        inference, free_calls: what a test puts in their methods is what the views call.
    """

    def __init__(self, **settings: Any) -> None:
        self.keys = Keys()
        self.metrics = EdgeMetrics()
        self.catalog = Catalog(providers={}, routes={}, prices={})
        self.inference = SimpleNamespace(answer=None)
        self.free_calls = SimpleNamespace(
            count_tokens=None, get_response=None, delete_response=None
        )
        built = Services(
            settings=Settings(
                _env_file=None,
                max_body_bytes=LIMIT,
                secret_keys=(SecretStr("x" * 32),),
                **settings,
            ),
            database=cast("Any", None),
            key_ring=self.keys,
            catalog=lambda: self.catalog,
            inference=cast("Any", self.inference),
            free_calls=cast("Any", self.free_calls),
            health=Health(),
            metrics=cast("Metrics", self.metrics),
            hangups=cast("Any", None),
            draining=threading.Event(),
            leave=lambda: None,
        )
        self.app: ToranaApp = create_app(built)

    def request(self, method: str, path: str, *, key: str | None = GOOD_KEY, **options: Any) -> Any:
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return self.app.test_client().open(path, method=method, headers=headers, **options)
