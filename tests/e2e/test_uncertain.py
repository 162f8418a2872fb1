"""Answers that were cut, and tries that may have been processed: what they cost, and why."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from tests.contract.fake_upstream import USAGE, FakeUpstream, Turn, answer_well
from tests.e2e.conftest import provision
from tests.e2e.constants import INPUT_RATE, OUTPUT_RATE
from tests.e2e.purses import purse
from tests.e2e.wire import chat_request, connected, read_until
from tests.support.server import RunningServer, Seed, eventually, running_server
from torana.db.session import Database

KNOWN = "gpt-4o-mini-2024-07-18"
"""A model whose vocabulary is public and that shows all that it bills."""
COST = (USAGE["prompt_tokens"] * INPUT_RATE + USAGE["completion_tokens"] * OUTPUT_RATE) // 1_000_000
WORDS = ["Seven ", "words ", "are ", "what ", "the ", "caller ", "saw."]


@pytest.fixture(scope="module")
def daring_server(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, str],
    dead_port: int,
    seed: Seed,
) -> Iterator[RunningServer]:
    """A server that tries again what may have been processed, and cancels what nobody reads."""

    def prepare(database: Database, environment: Mapping[str, str]) -> None:
        provision(database, environment, dead_port=dead_port)

    daring = settings | {
        "TORANA_RETRY_UNCERTAIN": "true",
        "TORANA_DISCONNECT_POLICY": "cancel",
        "TORANA_FIRST_BYTE_TIMEOUT": "1",
    }
    folder = tmp_path_factory.mktemp("daring")
    with running_server(folder, daring, seed=seed, prepare=prepare) as running:
        yield running


def speak_and_wait(told: threading.Event, turn: Turn) -> None:
    """Seven words, and then nothing until the other side hangs up."""
    turn.begin_stream()
    for word in WORDS:
        turn.words(word)
    told.set()
    turn.wait_for_hang_up()


def test_a_cancelled_stream_costs_what_was_seen(
    daring_server: RunningServer, upstream: FakeUpstream
):
    told = threading.Event()
    model = upstream.model(lambda turn: speak_and_wait(told, turn), exactly=KNOWN)
    with connected(daring_server) as caller:
        caller.sendall(chat_request(daring_server, model, stream=True))
        read_until(caller, b"saw.")
        assert told.wait(10)
    (entry,) = daring_server.entries_of(model)
    assert (entry["status"], entry["counted"]) == ("cancelled", "tokenizer")
    assert entry["output_tokens"] == 8
    assert 0 < entry["cost_nano"] < entry["bound_nano"]
    assert entry["attempts"][0]["cost_nano"] == entry["cost_nano"]


def test_a_stream_that_its_provider_cuts_costs_what_was_seen(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    def cut(turn: Turn) -> None:
        turn.begin_stream()
        for word in WORDS:
            turn.words(word)
        turn.cut()

    model = upstream.model(cut, exactly=KNOWN)
    reply = server_on_sqlite.chat(model, stream=True, max_tokens=50)
    assert b'"error"' in reply.body
    entry = server_on_sqlite.entry(reply.request_id)
    assert (entry["status"], entry["error_code"]) == ("error", "upstream_cut")
    assert (entry["counted"], entry["output_tokens"]) == ("tokenizer", 8)


def test_where_more_may_be_billed_than_is_seen_the_bound_is_charged(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    def cut(turn: Turn) -> None:
        turn.begin_stream()
        turn.words("seen")
        turn.cut()

    reply = server_on_sqlite.chat(upstream.model(cut), stream=True, max_tokens=50)
    entry = server_on_sqlite.entry(reply.request_id)
    assert (entry["counted"], entry["cost_nano"]) == ("bound", entry["bound_nano"])


def test_each_try_has_its_own_cost_and_the_second_reserves_first(
    daring_server: RunningServer, upstream: FakeUpstream
):
    tries: list[int] = []

    def silent_once(turn: Turn) -> None:
        tries.append(1)
        if len(tries) == 1:
            turn.wait_for_hang_up()
        else:
            answer_well(turn)

    model = upstream.model(silent_once)
    reply = daring_server.chat(model, max_tokens=50)
    assert reply.status == 200
    entry = daring_server.entry(reply.request_id)
    first, second = entry["attempts"]
    assert first["outcome"] == "upstream_timeout"
    assert entry["bound_nano"] == 2 * first["cost_nano"] > 0
    assert second["cost_nano"] == COST
    assert entry["cost_nano"] == first["cost_nano"] + COST
    assert entry["counted"] == "bound"
    assert reply.headers["x-torana-cost-usd"] == entry["cost_usd"]


def test_without_room_for_a_second_try_there_is_none(
    daring_server: RunningServer, upstream: FakeUpstream
):
    tries: list[int] = []

    def silent(turn: Turn) -> None:
        tries.append(1)
        turn.wait_for_hang_up()

    # One try fits into the budget (about 60,000 nano-dollars), two do not.
    mine = purse(daring_server, "--budget-usd", "0.0001", "--period", "month")
    reply = mine.chat(upstream.model(silent))
    assert reply.status == 504
    assert len(tries) == 1
    assert 0 < mine.spent() <= 100_000


def test_the_books_agree(daring_server: RunningServer):
    def agree() -> bool:
        text = daring_server.torana("ledger", "verify", "--json")
        return text.strip() == '{"differences":[]}'

    eventually(agree, "books that agree")
