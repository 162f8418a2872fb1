"""The path of a call with everything real but the model: an HTTP provider, a ledger, both databases."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from tests.integration.ledger.books import Books
from torana.core.ids import new_id
from torana.core.money import Price, PriceTerms, Rates
from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import BudgetExceeded, UpstreamRejected
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.inference.asking import CallPolicy
from torana.inference.cache import AnswerCache
from torana.inference.caller import CallContext, NoLink
from torana.inference.conversations import PURPOSE as CONVERSATIONS
from torana.inference.conversations import Conversations
from torana.inference.free_calls import FreeCalls
from torana.inference.health import Health
from torana.inference.idempotency import PURPOSE, AnswerStore
from torana.inference.limits import Limits
from torana.inference.retry import RetryPolicy
from torana.inference.service import InferenceService
from torana.inference.stored_responses import StoredResponses
from torana.obs.metrics import CallFigures, Metrics
from torana.outbound.client import HttpClient, Timeouts
from torana.providers import ProviderConfig, build
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry
from torana.secret_box import SecretBox

RATES = Rates(
    input_tokens=1_000_000,
    cached_tokens=1_000_000,
    cache_write_tokens=1_000_000,
    output_tokens=2_000_000,
    reasoning_tokens=2_000_000,
)
"""One nano-dollar for a token of input, two for one of output."""
PRICE = Price(id="price_1", terms=PriceTerms(rates=RATES))
PROVIDERS = {"fake": "compatible", "openai": "openai", "claude": "anthropic"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 4}
COST = 7 + 8
CHOICE = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}


class ModelServer(ThreadingHTTPServer):
    """An OpenAI-compatible server that says what its test tells it to say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        """Methods and paths."""
        self.meanwhile: Callable[[], None] = lambda: None
        self.status = 200
        self.headers = {"content-type": "application/json"}
        self.body: bytes = json.dumps({"choices": [CHOICE], "usage": USAGE}).encode()

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.asked.append((self.command, self.path))
        self.server.meanwhile()
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


class Unwatched(Metrics):
    """Metrics that nobody reads."""

    def __init__(self) -> None:
        """Nothing of prometheus_client's."""

    def call_opened(self) -> None:
        """Nothing."""

    def call_settled(self, figures: CallFigures) -> None:
        """Nothing."""

    def attempt(self, provider: str, model: str, outcome: str) -> None:
        """Nothing."""

    def cache(self, result: str) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


class Gateway:
    """A service in front of the model server, with books.

    The server is three providers: `fake` (a look-alike), `openai` and `claude`.
    """

    def __init__(self, books: Books, model: ModelServer) -> None:
        self.books = books
        self.http = HttpClient()
        url = f"http://127.0.0.1:{model.server_address[1]}/v1"
        configs = [
            ProviderConfig(name=name, kind=kind, base_url=url, private=True)
            for name, kind in PROVIDERS.items()
        ]
        catalog = Catalog(
            providers={
                name: ProviderEntry(name=name, kind=kind) for name, kind in PROVIDERS.items()
            },
            routes={},
            prices={(name, "*"): PRICE for name in PROVIDERS},
        )
        upstreams = Upstreams(catalog, {config.name: build(config) for config in configs})
        secret = [SecretStr("s" * 32)]
        timeouts = Timeouts(connect=5, first_byte=5, idle=5)
        responses = StoredResponses(
            Conversations(books.database, SecretBox(secret, CONVERSATIONS), timedelta(days=30))
        )
        self.service = InferenceService(
            upstreams=lambda: upstreams,
            teller=books.teller,
            http=self.http,
            metrics=Unwatched(),
            limits=Limits(timeouts=timeouts, retry=RetryPolicy(attempts=1), total=10, drain=5),
            policy=CallPolicy(),
            answers=AnswerStore(books.database, SecretBox(secret, PURPOSE)),
            responses=responses,
            health=Health(),
            cache=AnswerCache(None, [SecretStr("s" * 32)]),
        )
        self.free = FreeCalls(
            upstreams=lambda: upstreams, http=self.http, timeouts=timeouts, responses=responses
        )

    def context(self, **values: Any) -> CallContext:
        """A request of the books' key."""
        fields: dict[str, Any] = {
            "request_id": new_id("req"),
            "principal": self.books.principal,
            "received_at": time.monotonic(),
            "link": NoLink(),
        }
        return CallContext(**(fields | values))

    def ask(
        self, dialect: Dialect, *, idempotency_key: str | None = None, **fields: Any
    ) -> JsonAnswer | StreamAnswer:
        """Call in a dialect."""
        context = self.context(idempotency_key=idempotency_key)
        return self.service.answer(dialect, json.dumps(fields).encode(), context)

    def chat(
        self, *, idempotency_key: str | None = None, **fields: Any
    ) -> JsonAnswer | StreamAnswer:
        """Call the look-alike in its own dialect."""
        body = {"model": "fake/m", "messages": [], "max_tokens": 10, **fields}
        return self.ask(OPENAI_CHAT, idempotency_key=idempotency_key, **body)


@pytest.fixture
def gateway(shared_database, model) -> Iterator[Gateway]:
    model.says({"choices": [CHOICE], "usage": USAGE})
    with Books(shared_database) as books:
        made = Gateway(books, model)
        yield made
        made.http.close()
        assert made.service.open_calls == 0


def test_a_json_answer_is_on_the_ledger_when_it_returns(gateway, model):
    model.says({"choices": [CHOICE], "usage": USAGE}, x_request_id="theirs")
    answer = gateway.chat()
    assert isinstance(answer, JsonAnswer)
    assert answer.headers["x-torana-cost-usd"] == "0.000000015"
    (entry,) = gateway.books.entries()
    assert (entry.status, entry.cost_nano, entry.price_id) == ("ok", COST, "price_1")
    assert (entry.provider_request_id, entry.streamed) == ("theirs", False)
    assert [attempt["outcome"] for attempt in entry.attempts] == ["answered"]
    assert gateway.books.figures() == (COST, 0, 0)


def test_a_stream_is_on_the_ledger_before_its_last_event(gateway, model):
    model.says(
        b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n"
        b"data: [DONE]\n\n",
        content_type="text/event-stream",
    )
    answer = gateway.chat(stream=True)
    assert isinstance(answer, StreamAnswer)
    assert gateway.books.figures()[2] == 1
    events = list(answer.frames)
    assert events[-1] == b"data: [DONE]\n\n"
    answer.frames.close()
    (entry,) = gateway.books.entries()
    assert (entry.status, entry.cost_nano, entry.streamed) == ("ok", COST, True)
    assert gateway.books.figures() == (COST, 0, 0)


def test_a_budget_is_enforced_call_by_call_to_its_end(gateway):
    bound = 200
    gateway.books.limit(bound + 3 * COST)
    for _ in range(20):
        try:
            gateway.chat()
        except BudgetExceeded:
            break
    count, cost = gateway.books.total()
    assert cost == count * COST
    assert cost <= bound + 3 * COST
    assert gateway.books.figures() == (cost, 0, 0)


@pytest.mark.parametrize(
    "error",
    [
        {"message": "no", "code": "x" * 300},
        {"message": "no", "code": "nul\x00inside"},
        {"message": "no", "code": 10**30},
        {"message": "nul\x00inside " * 500, "type": "x" * 300, "param": "x" * 300},
    ],
    ids=lambda error: ascii(error)[:40],
)
def test_whatever_words_a_provider_refuses_with_the_call_is_posted_at_once(gateway, model, error):
    model.says({"error": error}, status=422)
    results: list[BaseException] = []

    def call() -> None:
        try:
            gateway.chat()
        except BaseException as raised:  # noqa: BLE001 -- looked at below
            results.append(raised)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(3)
    assert not thread.is_alive(), "the call can not be posted"
    assert [type(raised) for raised in results] == [UpstreamRejected]
    (entry,) = gateway.books.entries()
    assert (entry.status, entry.http_status, entry.cost_nano) == ("error", 422, 0)
    assert gateway.books.figures() == (0, 0, 0)


@pytest.mark.parametrize("identifier", ["x" * 500, "é" * 50, "a\tb"])
def test_whatever_id_a_provider_gives_the_call_is_posted(gateway, model, identifier):
    model.says({"choices": [CHOICE], "usage": USAGE}, x_request_id=identifier)
    assert isinstance(gateway.chat(), JsonAnswer)
    (entry,) = gateway.books.entries()
    assert entry.provider_request_id


@pytest.mark.parametrize("tokens", [10**12, 10**9])
def test_whatever_usage_a_provider_tells_the_call_is_posted_in_full(gateway, model, tokens):
    model.says(
        {"choices": [CHOICE], "usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}
    )
    assert isinstance(gateway.chat(), JsonAnswer)
    assert gateway.books.total() == (1, 3 * tokens)
