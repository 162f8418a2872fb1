"""Budgets and limits as callers meet them: what is refused, in which words, and what it costs."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import openai
import pytest

from tests.contract.fake_upstream import USAGE, FakeUpstream, Gate, Turn, answer_well, completion
from tests.e2e.checks import openai_error
from tests.e2e.constants import INPUT_RATE, OUTPUT_RATE, PROVIDER_KEY
from tests.e2e.purses import new_project, purse
from tests.support.server import RunningServer, eventually, everywhere
from torana.core.clock import isoformat, utc_now

COST = (USAGE["prompt_tokens"] * INPUT_RATE + USAGE["completion_tokens"] * OUTPUT_RATE) // 1_000_000


def test_a_budget_is_used_to_its_end_and_never_passed(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model()
    # Each call costs 5,850 nano-dollars and may cost about 60,000.
    mine = purse(server, "--budget-usd", "0.0001", "--period", "month")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: mine.chat(model), range(30)))
    answered = [reply for reply in replies if reply.status == 200]
    assert answered
    while True:
        last = mine.chat(model)
        if last.status != 200:
            break
        answered.append(last)
    assert mine.spent() == len(answered) * COST <= 100_000
    assert len(upstream.seen(model)) == len(answered)
    error = openai_error(last)
    assert (last.status, error["code"]) == (429, "insufficient_quota")
    assert last.headers["x-should-retry"] == "false"
    assert "of this key" in error["message"]
    assert "of 0.0001 USD" in error["message"]
    assert "starts anew at" in error["message"]
    assert server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'


def test_a_budget_that_open_calls_hold_is_worth_another_try(
    server: RunningServer, upstream: FakeUpstream
):
    gate, arrived = Gate(), threading.Event()

    def wait(turn: Turn) -> None:
        arrived.set()
        gate.wait()
        answer_well(turn)

    model = upstream.model(wait)
    mine = purse(server, "--budget-usd", "0.0001", "--period", "day")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(mine.chat, model)
        assert arrived.wait(10)
        second = mine.chat(model)
        gate.open()
        assert first.result(20).status == 200
    error = openai_error(second)
    assert (second.status, error["code"]) == (429, "budget_reserved")
    assert second.headers["x-should-retry"] == "true"
    assert int(second.headers["retry-after"]) >= 1
    assert mine.chat(model).status == 200


def test_a_budget_may_clamp_instead(server_on_sqlite: RunningServer, upstream: FakeUpstream):
    model = upstream.model()
    mine = purse(server_on_sqlite, "--budget-usd", "0.0001", "--period", "total", "--mode", "clamp")
    reply = mine.chat(model, max_tokens=5000)
    assert reply.status == 200
    (seen,) = upstream.seen(model)
    granted = int(reply.headers["x-torana-max-output-tokens"])
    assert 0 < granted < 5000
    assert seen.json()["max_tokens"] == granted


def test_a_limit_of_requests_tells_when_to_come_back(server: RunningServer, upstream: FakeUpstream):
    model = upstream.model()
    mine = purse(server, "--rpm", "3")
    replies = [mine.chat(model) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert [reply.headers["x-ratelimit-limit-requests"] for reply in replies] == ["3"] * 4
    assert replies[0].headers["x-ratelimit-remaining-requests"] == "2"
    refused = replies[3]
    error = openai_error(refused)
    assert error["code"] == "rate_limit_exceeded"
    assert "of this key" in error["message"]
    assert 0 < int(refused.headers["retry-after-ms"]) <= 20_000
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-should-retry"] == "true"
    assert len(upstream.seen(model)) == 3
    with (
        openai.OpenAI(
            base_url=f"{server.url}/v1", api_key=mine.key, max_retries=0, timeout=30
        ) as sdk,
        pytest.raises(openai.RateLimitError),
    ):
        sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])


def test_a_limit_of_tokens_counts_what_was_used(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    def talkative(turn: Turn) -> None:
        turn.reply(completion() | {"usage": USAGE | {"completion_tokens": 1500}})

    model = upstream.model(talkative)
    mine = purse(server_on_sqlite, "--tpm", "1000")
    first = mine.chat(model)
    assert first.status == 200
    second = mine.chat(model)
    assert (second.status, openai_error(second)["code"]) == (429, "rate_limit_exceeded")
    assert second.headers["x-ratelimit-limit-tokens"] == "1000"
    too_large = mine.chat(model, max_tokens=2000)
    assert too_large.headers["x-should-retry"] == "false"
    assert "larger than the 1,000 tokens" in openai_error(too_large)["message"]


def test_a_limit_of_open_calls(server: RunningServer, upstream: FakeUpstream):
    gate, arrived = Gate(), threading.Event()

    def wait(turn: Turn) -> None:
        arrived.set()
        gate.wait()
        answer_well(turn)

    model = upstream.model(wait)
    mine = purse(server, "--concurrency", "1")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(mine.chat, model)
        assert arrived.wait(10)
        second = mine.chat(model)
        gate.open()
        assert first.result(20).status == 200
    assert (second.status, openai_error(second)["code"]) == (429, "concurrency_limit_exceeded")
    assert mine.chat(model).status == 200


def test_an_edit_is_effective_in_the_next_call_on_every_process(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model()
    mine = purse(server)
    assert [mine.chat(model).status for _ in range(6)] == [200] * 6
    server.torana("limits", "set", "--scope", "key", "--id", mine.key_id, "--models", "gpt-other")
    replies = [mine.chat(model) for _ in range(6)]
    assert {(reply.status, openai_error(reply)["code"]) for reply in replies} == {
        (403, "model_not_allowed")
    }
    server.torana("limits", "set", "--scope", "key", "--id", mine.key_id, "--models", "none")
    server.torana(
        *("budgets", "create", "--scope", "key", "--id", mine.key_id),
        *("--amount-usd", "0.00003", "--period", "month"),
    )
    # What was spent before the budget was made counts.
    replies = [mine.chat(model) for _ in range(6)]
    assert {reply.status for reply in replies} == {429}
    assert len(upstream.seen(model)) == 6


def test_under_a_budget_a_model_needs_a_price_and_a_field_a_rule(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    server = server_on_sqlite
    server.torana(
        *("providers", "add", "bare", "--base-url", upstream.url),
        *("--allow-host", "--api-key-stdin"),
        stdin=PROVIDER_KEY,
    )
    model = upstream.model()
    name = f"bare/{model}"
    free, mine = purse(server), purse(server, "--budget-usd", "1", "--period", "month")
    everywhere(lambda: free.chat(name).status == 200, "the provider")
    refused = mine.chat(name)
    error = openai_error(refused)
    assert (refused.status, error["code"]) == (400, "cost_unknown")
    assert "torana prices set" in error["message"]
    server.torana("prices", "set", name, "--input", "0.15", "--output", "0.6")
    everywhere(lambda: mine.chat(name).status == 200, "the price")
    strange = mine.chat(name, brand_new_feature=True)
    assert (strange.status, openai_error(strange)["code"]) == (400, "cost_unknown")
    assert "brand_new_feature" in openai_error(strange)["message"]
    assert free.chat(name, brand_new_feature=True).status == 200


def test_end_users_and_tags_have_budgets_of_their_own(
    server: RunningServer, upstream: FakeUpstream
):
    project = new_project(server)
    mine = purse(server, project=project)
    model = upstream.model()
    for scope, name in (("end-user", "*"), ("tag", "team=red")):
        server.torana(
            *("budgets", "create", "--scope", scope, "--id", name, "--project", project),
            *("--amount-usd", "0.00007", "--period", "day"),
        )

    def use_up(**call: object) -> str:
        while True:
            reply = mine.chat(model, **call)  # type: ignore[arg-type]
            if reply.status != 200:
                error = openai_error(reply)
                assert (reply.status, error["code"]) == (429, "insufficient_quota")
                return str(error["message"])

    assert "end user 'alice'" in use_up(user="alice")
    assert mine.chat(model, user="bob").status == 200
    assert "tag 'team=red'" in use_up(headers={"x-torana-tags": "team=red, env=test"})
    assert "tag 'team=red'" in use_up(metadata={"team": "red"})
    assert mine.chat(model, metadata={"team": "blue"}).status == 200
    assert mine.chat(model).status == 200
    assert server.torana("ledger", "verify", "--json").strip() == '{"differences":[]}'
    entry = server.ledger(key=mine.key)[1]
    assert entry["tags"] == {"team": "blue"}


def test_tags_that_cannot_be_read_are_refused(server_on_sqlite: RunningServer):
    reply = server_on_sqlite.request(
        "POST",
        "/v1/chat/completions",
        {"model": "echo", "messages": []},
        headers={"x-torana-tags": "team"},
    )
    error = openai_error(reply)
    assert (reply.status, error["param"]) == (400, "x-torana-tags")
    assert "team=red,env=prod" in error["message"]


def test_a_provider_that_passes_its_bound_is_closed_to_budgets(
    server: RunningServer, upstream: FakeUpstream
):
    def dear(turn: Turn) -> None:
        turn.reply(completion() | {"usage": USAGE | {"completion_tokens": 10_000}})

    model = upstream.model(dear)
    mine = purse(server, "--budget-usd", "1", "--period", "month")
    first = mine.chat(model)
    assert first.status == 200
    entry = server.entry(first.request_id)
    assert entry["cost_nano"] == 11 * 150 + 10_000 * 600 > entry["bound_nano"]

    def closed() -> bool:
        reply = mine.chat(model)
        return reply.status == 400 and openai_error(reply)["code"] == "cost_unknown"

    eventually(closed, "the suspension")
    # Without a budget nothing was promised.
    assert purse(server).chat(model).status == 200
    server.wait_for_log()
    assert entry["request_id"] in {line["request_id"] for line in server.log("call.bound_exceeded")}
    server.torana("models", "resume", f"openai/{model}")
    eventually(lambda: mine.chat(model).status == 200, "its end")


def test_a_raise_holds_until_its_end(server_on_sqlite: RunningServer, upstream: FakeUpstream):
    server, model = server_on_sqlite, upstream.model()
    mine = purse(server, "--budget-usd", "0.00001", "--period", "month")
    assert mine.chat(model).status == 429
    budgets = server.torana("budgets", "list", "--json")
    (mine_budget,) = [row for row in json.loads(budgets) if row["scope_id"] == mine.key_id]
    until = isoformat(utc_now() + timedelta(seconds=4))
    server.torana("budgets", "raise", mine_budget["id"], "--by-usd", "1", "--until", until)
    assert mine.chat(model).status == 200
    eventually(lambda: mine.chat(model).status == 429, "the end of the raise", seconds=15)
