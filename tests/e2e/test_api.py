"""The management API: who am I, what may I call, what has it cost, call by call."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.e2e.checks import problem
from tests.e2e.constants import PROMPT
from tests.support.server import RunningServer

UNKNOWN_CALL = "req_01h455vb4pex5vsknk084sn02q"


@pytest.fixture
def with_calls(server: RunningServer, upstream: FakeUpstream) -> RunningServer:
    """A server with a few calls of several kinds on its ledger."""
    for model in ("echo", "echo/words=3", "echo/status=400", upstream.model()):
        server.chat(model, PROMPT)
        server.chat(model, PROMPT, stream=True)
    return server


def test_me_tells_the_key_and_where_its_calls_count(server: RunningServer):
    me = server.get("/api/me")
    assert me["key"] == {"id": server.key_id, "name": "tests"}
    assert me["project"]["name"] == me["organisation"]["name"] == "default"
    assert "call" in me["permissions"]
    assert (me["user_id"], me["models"], me["expires_at"]) == (None, None, None)
    assert server.key not in str(me)


def test_models_show_their_provider_and_price(server: RunningServer):
    (echo,) = [row for row in server.get("/api/models")["data"] if row["name"] == "echo"]
    assert (echo["provider"], echo["target_model"]) == ("echo", "echo")
    assert echo["input_usd_per_million"] == "0.01"
    assert echo["output_usd_per_million"] == "0.02"


def test_pages_of_the_ledger_make_the_whole(with_calls: RunningServer):
    whole = with_calls.ledger()
    limit = max(len(whole) // 5, 2)
    pages: list[list[dict[str, Any]]] = []
    cursor = ""
    while True:
        page = with_calls.get(f"/api/ledger?limit={limit}{cursor}")
        pages.append(page["data"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={quote(page['next_cursor'])}"
    assert all(len(page) == limit for page in pages[:-1])
    rows = [row for page in pages for row in page]
    assert [row["request_id"] for row in rows] == [row["request_id"] for row in whole]
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert [row["admitted_at"] for row in rows] == sorted(
        (row["admitted_at"] for row in rows), reverse=True
    )
    first = with_calls.get(f"/api/ledger?limit={limit}")["data"]
    assert first == pages[0]


def test_the_ledger_can_be_cut_by_time(with_calls: RunningServer):
    whole = with_calls.ledger()
    instant = whole[len(whole) // 2]["admitted_at"]
    query = f"limit=200&since={quote(instant)}"
    later = with_calls.get(f"/api/ledger?{query}")["data"]
    earlier = with_calls.get(f"/api/ledger?limit=200&until={quote(instant)}")["data"]
    assert all(row["admitted_at"] >= instant for row in later)
    assert all(row["admitted_at"] < instant for row in earlier)
    assert instant in {row["admitted_at"] for row in later}
    if len(whole) <= 200:
        assert len(later) + len(earlier) == len(whole)


def _forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


GOOD_INSTANT = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
CURSORS = {
    "words": "nonsense",
    "not ASCII": "é",
    "empty": "",
    "base64 of words": _forged("nonsense"),
    "no instant": _forged(f"yesterday|{UNKNOWN_CALL}|0"),
    "no number": _forged(f"{GOOD_INSTANT}|{UNKNOWN_CALL}|one"),
    "a huge number": _forged(f"{GOOD_INSTANT}|{UNKNOWN_CALL}|{10**30}"),
    "NUL": _forged(f"{GOOD_INSTANT}|req_\0|0"),
    "before all time": _forged(f"0001-01-01T00:00:00+14:00|{UNKNOWN_CALL}|0"),
    "after all time": _forged(f"9999-12-31T23:59:59-14:00|{UNKNOWN_CALL}|0"),
    "without a zone": _forged(f"2026-01-01T00:00:00|{UNKNOWN_CALL}|0"),
    "not UTF-8": base64.urlsafe_b64encode(b"\xff\xfe|x|0").decode(),
    "cut": _forged(f"{GOOD_INSTANT}|{UNKNOWN_CALL}|0")[:-3],
}


@pytest.mark.parametrize("case", CURSORS)
def test_a_cursor_that_no_page_gave_is_a_400(server: RunningServer, case: str):
    reply = server.request("GET", f"/api/ledger?cursor={quote(CURSORS[case])}")
    assert reply.status == 400
    assert problem(reply)["code"] == "invalid_request"


BAD_QUERIES = {
    "ledger?limit=0": "limit",
    "ledger?limit=201": "limit",
    "ledger?limit=ten": "limit",
    "ledger?limit=-1": "limit",
    "ledger?since=yesterday": "since",
    "ledger?since=2026-01-01T25:00:00": "since",
    "ledger?until=2026-13-01T00:00:00Z": "until",
    "ledger?colour=red": "colour",
    "usage?group_by=colour": "group_by",
    "usage?group_by=tag:": "group_by",
    "usage?group_by=model&group_by=key&group_by=day&group_by=user&group_by=status": "group_by",
    "usage?since=soon": "since",
    "usage?limit=5": "limit",
}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_query_that_breaks_the_schema_is_a_422_that_names_the_field(
    server: RunningServer, query: str
):
    reply = server.request("GET", f"/api/{query}")
    assert reply.status == 422
    body = problem(reply)
    assert body["code"] == "validation_failed"
    assert any(error["field"].startswith(BAD_QUERIES[query]) for error in body["errors"])
    assert BAD_QUERIES[query] in body["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "since=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-14:00",
        "since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z",
    ],
)
@pytest.mark.parametrize("area", ["ledger", "usage"])
def test_instants_at_the_ends_of_time_break_nothing(server: RunningServer, area: str, query: str):
    assert server.request("GET", f"/api/{area}?{query}").status in {200, 422}


@pytest.mark.parametrize(
    "call_id", [UNKNOWN_CALL, "nonsense", "req_%00", "%ff", "x" * 2000, "%F0%9F%8C%8D"]
)
def test_a_call_that_never_was_is_a_404(server: RunningServer, call_id: str):
    reply = server.request("GET", f"/api/ledger/{call_id}")
    assert reply.status == 404
    assert problem(reply)["code"] == "not_found"


def test_usage_sums_what_the_ledger_lists(with_calls: RunningServer):
    rows = with_calls.ledger()
    groups = with_calls.get("/api/usage?group_by=model&group_by=status")["data"]
    expected: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        sums = expected.setdefault((row["model"], row["status"]), Counter())
        sums["calls"] += 1
        sums["input_tokens"] += (
            row["input_tokens"] + row["cached_tokens"] + row["cache_write_tokens"]
        )
        sums["output_tokens"] += row["output_tokens"] + row["reasoning_tokens"]
        sums["cost_nano"] += row["cost_nano"]
    seen = {
        (group["group"]["model"], group["group"]["status"]): Counter(
            {name: group[name] for name in ("calls", "input_tokens", "output_tokens", "cost_nano")}
        )
        for group in groups
    }
    assert seen == expected
    costs = [group["cost_nano"] for group in groups]
    assert costs == sorted(costs, reverse=True)


def test_usage_by_day_names_today(with_calls: RunningServer):
    days = with_calls.get("/api/usage?group_by=day")["data"]
    written = {row["admitted_at"][:10] for row in with_calls.ledger()}
    assert {day["group"]["day"] for day in days} == written


def test_usage_by_key_and_user_knows_who_called(with_calls: RunningServer):
    groups = with_calls.get("/api/usage?group_by=key&group_by=user")["data"]
    assert {"key": with_calls.key_id, "user": None} in [group["group"] for group in groups]


def test_usage_of_a_time_without_calls_is_empty(server: RunningServer):
    until = quote("2020-01-01T00:00:00Z")
    assert server.get(f"/api/usage?until={until}")["data"] == []


def test_an_entry_tells_the_whole_story_and_no_secret(with_calls: RunningServer):
    entry = with_calls.entry(with_calls.chat("echo", PROMPT).request_id)
    assert entry["route"] == "openai.chat.completions"
    assert entry["provider_request_id"] == f"echo-{entry['request_id']}"
    assert entry["price_id"].startswith("price_")
    assert entry["admitted_at"] <= entry["posted_at"]
    assert 0 <= entry["first_byte_ms"] <= entry["duration_ms"]
    assert (entry["seq"], entry["tags"]) == (0, {})
    assert PROMPT not in str(entry)


def test_no_answer_is_guessed_to_be_something_else(server: RunningServer):
    for path in ("/api/me", "/v1/models", "/", "/nothing"):
        assert server.request("GET", path).headers["x-content-type-options"] == "nosniff"
