"""The promises about money on every route: same dialect and translated, JSON and stream."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.fake_upstream import FakeUpstream, Gate
from tests.e2e.checks import openai_error
from tests.e2e.constants import PROVIDER_KEY
from tests.e2e.money_calls import (
    AMOUNTS,
    PATHS,
    SAME,
    STREAMED,
    TOKENS,
    TRANSLATED,
    WAYS,
    Wallet,
    Way,
    answer,
    cut,
    end_early,
    fail_midway,
    slowly,
    wallet,
)
from tests.e2e.wire import connected, read_until
from tests.support import databases
from tests.support.server import Reply, RunningServer, Seed, running_server
from torana.admin.allowed_hosts import allow_host
from torana.admin.price_terms import make_terms
from torana.admin.providers import PURPOSE, add_provider
from torana.core.clock import utc_now
from torana.core.usage import CLASSES
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.secret_box import SecretBox
from torana.settings import load_settings

CALLERS = 8
CALLS = 12
RETRY_SECONDS = 0.02
both_forms = pytest.mark.parametrize(
    ("way", "stream"),
    [
        *(pytest.param(way, False, id=f"{way}, json") for way in WAYS),
        *(pytest.param(way, True, id=f"{way}, stream") for way in STREAMED),
    ],
)
streams = pytest.mark.parametrize("way", [pytest.param(way, id=str(way)) for way in STREAMED])


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    main_settings: dict[str, str],
    upstream: FakeUpstream,
    seed: Seed,
) -> Iterator[RunningServer]:
    """A server whose three providers are the fake: `openai`, `anthropic`, and the look-alike."""
    settings = money_settings(main_settings, upstream)
    folder = tmp_path_factory.mktemp("money")
    with running_server(folder, settings, seed=seed, prepare=preparing(upstream)) as running:
        yield running


@pytest.fixture(scope="module")
def server_on_postgres(
    tmp_path_factory: pytest.TempPathFactory,
    main_settings: dict[str, str],
    upstream: FakeUpstream,
    postgres_server: str,
) -> Iterator[RunningServer]:
    """The same with the other database."""
    settings = money_settings(main_settings, upstream)
    folder = tmp_path_factory.mktemp("money-on-postgresql")
    with (
        databases.postgres_url(postgres_server) as url,
        running_server(folder, settings, database_url=url, prepare=preparing(upstream)) as running,
    ):
        yield running


def money_settings(main_settings: dict[str, str], upstream: FakeUpstream) -> dict[str, str]:
    """The settings of all tests here with one more provider."""
    return main_settings | {
        "ANTHROPIC_API_KEY": PROVIDER_KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
    }


def preparing(upstream: FakeUpstream) -> Callable[[Database, Mapping[str, str]], None]:
    """What gives a database the look-alike, and all providers their prices."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        settings = load_settings(
            data_dir=environment["TORANA_DATA_DIR"],
            secret_keys=environment["TORANA_SECRET_KEYS"],
        )
        box = SecretBox(settings.secret_keys, PURPOSE)
        allow_host(database, "127.0.0.1")
        add_provider(database, box, name="look", base_url=upstream.url, api_key=PROVIDER_KEY)
        terms = make_terms(AMOUNTS)
        with database.write() as session:
            for provider in ("openai", "anthropic", "look"):
                set_price(
                    session,
                    provider=provider,
                    model="*",
                    terms=terms,
                    source="operator",
                    now=utc_now(),
                )

    return prepare


def assert_refused_for_good(way: Way, reply: Reply) -> None:
    """The money is spent: each SDK is told in its own way not to try again."""
    assert reply.headers["x-should-retry"] == "false"
    if way.is_anthropic:
        error = reply.json()
        assert (reply.status, error["type"]) == (402, "error")
        assert error["error"]["type"] == "billing_error"
        assert error["request_id"] == reply.request_id
        assert "budget" in error["error"]["message"]
    else:
        error = openai_error(reply)
        assert (reply.status, error["code"]) == (429, "insufficient_quota")
        assert error["type"] == "insufficient_quota"
        assert "budget" in error["message"]


def message_of(way: Way, reply: Reply) -> str:
    """The words of a refusal."""
    if way.is_anthropic:
        body = reply.json()
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error"), body
        return str(body["error"]["message"])
    return str(openai_error(reply)["message"])


def assert_row(row: dict[str, Any], way: Way, *, stream: bool) -> None:
    """A row has each class of tokens once, and the cost that they come to."""
    told = {name: row[name] for name in CLASSES if row.get(name)}
    assert told == TOKENS[way.upstream]
    assert (row["counted"], row["cost_nano"]) == ("provider", way.cost)
    assert row["cost_nano"] <= row["bound_nano"]
    assert row["streamed"] is stream


@both_forms
def test_a_row_costs_its_tokens_by_class_times_the_price(
    server: RunningServer, upstream: FakeUpstream, way: Way, stream: bool
):
    model = upstream.model(answer)
    mine = wallet(server)
    reply = mine.call(way, model, stream=stream)
    assert reply.status == 200, reply
    (seen,) = upstream.seen(model)
    assert seen.path == PATHS[way.upstream]
    row = server.entry(reply.request_id)
    assert row["status"] == "ok"
    assert_row(row, way, stream=stream)


@both_forms
@pytest.mark.parametrize("database", ["server", "server_on_postgres"])
def test_a_budget_is_used_to_its_end_and_never_passed(
    request: pytest.FixtureRequest, database: str, upstream: FakeUpstream, way: Way, stream: bool
):
    server: RunningServer = request.getfixturevalue(database)
    model = upstream.model(answer)
    first = wallet(server).call(way, model, stream=stream)
    bound = server.entry(first.request_id)["bound_nano"]
    # One call more would fit with one nano-dollar more.
    budget = bound + CALLS * way.cost - 1
    mine = wallet(server, budget_nano=budget)

    def use_up(_: int) -> tuple[int, Reply]:
        good = 0
        while True:
            reply = mine.call(way, model, stream=stream)
            if reply.status == 200:
                good += 1
            elif reply.headers.get("x-should-retry") == "true":
                assert reply.status == 429
                time.sleep(RETRY_SECONDS)  # Open calls hold what is left.
            else:
                return good, reply

    with ThreadPoolExecutor(CALLERS) as pool:
        outcomes = list(pool.map(use_up, range(CALLERS)))
    for _, refusal in outcomes:
        assert_refused_for_good(way, refusal)
    rows = mine.rows()
    assert len(rows) == sum(good for good, _ in outcomes) == CALLS
    for row in rows:
        assert_row(row, way, stream=stream)
    assert len(upstream.seen(model)) == CALLS + 1
    assert CALLS * way.cost <= budget


@streams
@pytest.mark.parametrize(
    ("script", "codes"),
    [
        (cut, {"upstream_cut"}),
        (end_early, {"upstream_cut"}),
        (fail_midway, {"upstream_garbage", "upstream_error"}),
    ],
    ids=["cut", "ended early", "error event"],
)
def test_a_stream_that_breaks_costs_its_bound_and_is_never_a_finish(
    server: RunningServer, upstream: FakeUpstream, way: Way, script: Any, codes: set[str]
):
    model = upstream.model(script)
    reply = wallet(server).call(way, model, stream=True)
    assert reply.status == 200
    row = server.entry(reply.request_id)
    assert row["status"] == "error"
    assert row["error_code"] in codes
    # The vocabulary of this model is not public, so what was seen can't be counted.
    assert (row["counted"], row["cost_nano"]) == ("bound", row["bound_nano"])
    last = reply.body.rstrip(b"\n").rsplit(b"\n\n", 1)[-1]
    if way.caller in {"messages", "responses"}:
        assert last.startswith(b"event: error\ndata: "), last
        assert json.loads(last.partition(b"data: ")[2])["type"] == "error"
        ends = (b"message_stop", b"response.completed")
    else:
        assert "error" in json.loads(last.removeprefix(b"data: "))
        ends = (b"[DONE]", b'"finish_reason":"')
    assert not any(end in reply.body for end in ends)


@streams
def test_a_caller_that_hangs_up_pays_what_the_provider_bills(
    server: RunningServer, upstream: FakeUpstream, way: Way
):
    arrived, gate = threading.Event(), Gate()

    def rest() -> None:
        arrived.set()
        gate.wait()

    model = upstream.model(slowly(rest))
    mine = wallet(server)
    body = json.dumps(way.body(model, stream=True)).encode()
    head = [
        f"POST {PATHS[way.caller]} HTTP/1.1",
        "host: torana",
        f"authorization: Bearer {mine.key}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    with connected(server) as caller:
        caller.sendall("\r\n".join([*head, "", ""]).encode() + body)
        read_until(caller, b"data: ")
        assert arrived.wait(10)
    gate.open()
    (row,) = server.entries_of(way.name(model))
    assert (row["status"], row["error_code"]) == ("cancelled", "caller_gone")
    assert_row(row, way, stream=True)


WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
UNRULED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "chat": [
        ({"web_search_options": {}}, "web_search"),
        ({"service_tier": "priority"}, "service_tier=priority"),
        ({"brand_new_field": 1}, "brand_new_field"),
    ],
    "messages": [
        ({"tools": [WEB_SEARCH]}, "web_search"),
        ({"speed": "fast"}, "speed=fast"),
        ({"container": "c_1"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
    ],
    "responses": [
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "image_generation"}]}, "image_generation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"brand_new_field": 1}, "brand_new_field"),
    ],
    "completions": [({"brand_new_field": 1}, "brand_new_field")],
    "embeddings": [({"brand_new_field": 1}, "brand_new_field")],
}


@pytest.mark.parametrize(
    ("way", "fields", "name"),
    [
        pytest.param(way, fields, name, id=f"{way.caller}, {name}")
        for way in SAME
        for fields, name in UNRULED[way.caller]
    ],
)
def test_what_has_no_bound_is_refused_by_name_under_a_budget_and_passes_without(
    server: RunningServer, upstream: FakeUpstream, way: Way, fields: dict[str, Any], name: str
):
    model = upstream.model(answer)
    refused = wallet(server, budget_nano=10**9).call(way, model, **fields)
    assert refused.status == 400, refused
    assert name in message_of(way, refused)
    assert upstream.seen(model) == []
    passed = wallet(server).call(way, model, **fields)
    assert passed.status == 200, passed
    (seen,) = upstream.seen(model)
    sent = seen.json()
    assert {field: sent[field] for field in fields} == fields


def test_a_conversation_that_a_provider_keeps_for_all_of_us_is_refused(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model(answer)
    for mine in (wallet(server), wallet(server, budget_nano=10**9)):
        refused = mine.call(SAME[1], model, conversation="conv_1")
        assert (refused.status, openai_error(refused)["param"]) == (400, "conversation")
        assert "not offered" in message_of(SAME[1], refused)
    assert upstream.seen(model) == []


@pytest.mark.parametrize(
    ("way", "fields"),
    [
        pytest.param(TRANSLATED[0], {"web_search_options": {}}, id="chat to messages"),
        pytest.param(
            TRANSLATED[1], {"tools": [{"type": "web_search"}]}, id="responses to messages"
        ),
        pytest.param(TRANSLATED[2], {"tools": [WEB_SEARCH]}, id="messages to chat"),
    ],
)
def test_a_search_that_is_translated_is_priced_as_what_it_became(
    server: RunningServer, upstream: FakeUpstream, way: Way, fields: dict[str, Any]
):
    model = upstream.model(answer)
    refused = wallet(server, budget_nano=10**9).call(way, model, **fields)
    passed = wallet(server).call(way, model, **fields)
    assert passed.status == 200, passed
    sent = upstream.seen(model)[-1].body
    if b"web_search" in sent:
        assert refused.status == 400, refused
        assert "web_search" in message_of(way, refused)
        assert len(upstream.seen(model)) == 1
    else:
        # It could not be said there, so it costs nothing, and the caller is told.
        assert refused.status == 200, refused
        assert passed.headers["x-torana-dropped"]


@both_forms
def test_a_repetition_gets_the_same_bytes_for_nothing(
    server: RunningServer, upstream: FakeUpstream, way: Way, stream: bool
):
    model = upstream.model(answer)
    mine = wallet(server)
    key = {"idempotency-key": "order-4711"}
    first, *others = [mine.call(way, model, stream=stream, headers=key) for _ in range(3)]
    assert first.status == 200, first
    for other in others:
        assert (other.status, other.body) == (200, first.body)
        assert other.headers["content-type"] == first.headers["content-type"]
        assert other.headers["idempotent-replayed"] == "true"
    assert len(upstream.seen(model)) == 1
    assert [row["request_id"] for row in mine.rows()] == [first.request_id]
    changed = mine.call(way, model, stream=stream, headers=key, user="other", metadata={})
    assert changed.status == 422, changed
    assert "Idempotency-Key" in message_of(way, changed)


def test_no_wallet_shares_its_answers_with_another_route(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model(answer)
    mine: Wallet = wallet(server)
    key = {"idempotency-key": "order-4712"}
    chat, completions = SAME[0], SAME[3]
    assert mine.call(chat, model, headers=key).status == 200
    other = mine.call(completions, model, headers=key)
    assert other.status == 422, other


@pytest.mark.parametrize("database", ["server", "server_on_postgres"])
def test_the_books_agree_with_themselves(request: pytest.FixtureRequest, database: str):
    server: RunningServer = request.getfixturevalue(database)
    assert server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'
