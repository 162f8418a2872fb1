"""A server whose provider has all the routes of media, and prices for its models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.contract.fake_upstream import Script
from tests.e2e.constants import PROVIDER_KEY, SDK_SECONDS
from tests.e2e.media.provider import MediaUpstream, media_upstream
from tests.support.server import RunningServer, Seed, everywhere, running_server
from torana.admin.config_version import raise_version
from torana.admin.keys import create_key
from torana.admin.price_terms import make_terms
from torana.admin.providers import PURPOSE, add_provider
from torana.core.clock import utc_now
from torana.core.money import PriceTerms
from torana.db.models import AllowedHost
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.ledger.terms import BudgetTerms
from torana.secret_box import SecretBox
from torana.settings import load_settings

UPLOAD_LIMIT = 40 * 1024 * 1024
_numbers = itertools.count(1)
PRICES: dict[str, PriceTerms] = {
    "image-tokens": make_terms(
        {"input": "5", "input_image": "10", "output": "10", "output_image": "40"}
    ),
    "image-pieces": make_terms(
        {}, image_variants={"1024x1024/hd": "0.08", "1024x1024/standard": "0.04"}
    ),
    "speech-characters": make_terms({"per_million_characters": "15"}),
    "speech-tokens": make_terms({"input": "0.6", "output": "12"}),
    "listen-minutes": make_terms({"per_minute": "0.006"}),
    "listen-tokens": make_terms({"input": "2.5", "input_audio": "6", "output": "10"}),
    "rank-searches": make_terms({"search": "0.002"}),
    "rank-tokens": make_terms({"input": "0.02", "output": "0"}),
}
"""What models cost whose names begin so."""


@dataclass(frozen=True)
class Scene:
    """The server, its provider, and keys to call with."""

    server: RunningServer
    upstream: MediaUpstream
    clients: ExitStack

    def model(self, price: str, script: Script, *, provider: str = "openai") -> str:
        """A model of its own with one of `PRICES`, and what happens when it is called."""
        name = f"{price}-{next(_numbers)}"
        self.upstream.model(script, exactly=name)
        database = Database(self.server.database_url)
        try:
            with database.write() as session:
                set_price(
                    session,
                    provider=provider,
                    model=name,
                    terms=PRICES[price],
                    source="operator",
                    now=utc_now(),
                )
                raise_version(session)
        finally:
            database.dispose()
        path = f"/api/models/{provider}/{name}"
        everywhere(lambda: self.server.get(path).get("price") is not None, f"the price of {name}")
        return f"{provider}/{name}"

    def sent(self, model: str) -> Any:
        """The one request that the provider got for a model."""
        (only,) = self.upstream.seen(model.partition("/")[2])
        return only

    def key(self, *, budget_nano: int | None = None) -> str:
        """A new key."""
        budget = None
        if budget_nano is not None:
            budget = BudgetTerms(amount_nano=budget_nano, period="month")
        database = Database(self.server.database_url)
        try:
            name = f"media-{next(_numbers)}"
            return create_key(database, project="default", name=name, budget=budget).key
        finally:
            database.dispose()

    def client(self, key: str | None = None) -> openai.OpenAI:
        """The SDK as an application uses it, without its own retries."""
        return self.clients.enter_context(
            openai.OpenAI(
                base_url=f"{self.server.url}/v1",
                api_key=key or self.server.key,
                max_retries=0,
                timeout=SDK_SECONDS,
            )
        )

    def entry(self, model: str) -> dict[str, Any]:
        """The one entry of a model's calls."""
        (only,) = self.server.entries_of(model)
        return only


@pytest.fixture(scope="session")
def media() -> Iterator[MediaUpstream]:
    """The provider `openai` and `look` of the scene."""
    with media_upstream() as fake:
        yield fake


@pytest.fixture(scope="session")
def scene(
    tmp_path_factory: pytest.TempPathFactory, media: MediaUpstream, seed: Seed
) -> Iterator[Scene]:
    """One server for the session."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        settings = load_settings(
            data_dir=environment["TORANA_DATA_DIR"], secret_keys=environment["TORANA_SECRET_KEYS"]
        )
        with database.write() as session:
            session.add(AllowedHost(host="127.0.0.1", created_at=utc_now()))
        box = SecretBox(settings.secret_keys, PURPOSE)
        add_provider(database, box, name="look", base_url=media.url, api_key=PROVIDER_KEY)

    settings = {
        "TORANA_ECHO": "true",
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": media.url,
        "TORANA_WORKERS": "1",
        "TORANA_LOG_LEVEL": "DEBUG",
        "TORANA_MAX_UPLOAD_BYTES": str(UPLOAD_LIMIT),
        "TORANA_DRAIN_SECONDS": "5",
    }
    folder = tmp_path_factory.mktemp("media")
    with (
        running_server(folder, settings, seed=seed, prepare=prepare) as running,
        ExitStack() as clients,
    ):
        yield Scene(running, media, clients)
