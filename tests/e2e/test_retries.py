"""Who tries again: the SDK on our errors, Torana on its providers' ones; each try is on record."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.contract.fake_upstream import ANSWER, FakeUpstream, Turn, answer_well, fail_with
from tests.e2e.constants import PROMPT, SDK_SECONDS
from tests.support.server import RunningServer


@pytest.fixture
def patient(server: RunningServer) -> Iterator[openai.OpenAI]:
    """The SDK as it comes out of the box: it tries twice more."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, timeout=SDK_SECONDS) as sdk:
        yield sdk


def _ask(client: openai.OpenAI, model: str) -> tuple[str | None, str]:
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": PROMPT}]
    )
    return raw.parse().choices[0].message.content, raw.headers["x-request-id"]


def test_the_sdk_repeats_a_call_that_failed_with_500(patient: openai.OpenAI, server: RunningServer):
    # A 500 may have been processed, so only the caller may repeat it. `until` counts its tries,
    # too: the SDK tells how often it has tried, and Torana passes that on.
    model = "echo/status=500,until=2"
    known = {row["request_id"] for row in server.ledger()}
    answer, request_id = _ask(patient, model)
    assert answer == PROMPT
    rows = [row for row in server.entries_of(model, 2) if row["request_id"] not in known]
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[0]["request_id"] == request_id
    assert (rows[1]["http_status"], rows[1]["error_code"]) == (502, "upstream_error")
    assert rows[1]["cost_nano"] == 0
    assert [len(row["attempts"]) for row in rows] == [1, 1]


def test_the_sdk_repeats_a_call_that_was_limited_with_429(
    patient: openai.OpenAI, server: RunningServer
):
    # Torana's own three tries of the first call fail, and the third of the second call does not.
    model = "echo/status=429,until=4,retry_after=0"
    answer, request_id = _ask(patient, model)
    assert answer == PROMPT
    rows = server.entries_of(model, 2)
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[0]["request_id"] == request_id
    assert (rows[1]["http_status"], rows[1]["error_code"]) == (429, "upstream_rate_limited")
    assert [len(row["attempts"]) for row in rows] == [3, 3]


@pytest.mark.parametrize("status", [429, 503])
def test_torana_repeats_what_a_provider_turned_away(
    client: openai.OpenAI, server: RunningServer, status: int
):
    model = f"echo/status={status},until=2"
    answer, request_id = _ask(client, model)
    assert answer == PROMPT
    entry = server.entry(request_id)
    assert (entry["status"], entry["counted"]) == ("ok", "provider")
    first, second = entry["attempts"]
    assert first["outcome"] == {429: "upstream_rate_limited", 503: "upstream_overloaded"}[status]
    assert (first["n"], first["cost_nano"]) == (1, 0)
    assert (second["n"], second["outcome"], second["status"]) == (2, "answered", 200)


def test_torana_repeats_a_stream_before_its_first_byte(
    client: openai.OpenAI, server: RunningServer
):
    stream = client.chat.completions.create(
        model="echo/status=503,until=3,retry_after=0",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
    )
    with stream:
        request_id = stream.response.headers["x-request-id"]
        assert "".join(piece.choices[0].delta.content or "" for piece in stream) == PROMPT
    assert len(server.entry(request_id)["attempts"]) == 3


def test_torana_gives_up_after_three_tries(client: openai.OpenAI, server: RunningServer):
    model = "echo/status=503,retry_after=0"
    with pytest.raises(openai.InternalServerError) as failure:
        _ask(client, model)
    assert failure.value.status_code == 503
    assert failure.value.code == "upstream_overloaded"
    (entry,) = server.entries_of(model)
    assert len(entry["attempts"]) == 3
    assert (entry["status"], entry["cost_nano"]) == ("error", 0)


def test_a_provider_that_wants_much_patience_is_left_to_the_caller(
    client: openai.OpenAI, server: RunningServer
):
    model = "echo/status=429,retry_after=119"
    with pytest.raises(openai.RateLimitError) as failure:
        _ask(client, model)
    assert failure.value.response.headers["retry-after"] == "119"
    assert len(server.entries_of(model)[0]["attempts"]) == 1


def test_a_provider_that_forbids_another_try_is_obeyed(
    client: openai.OpenAI, server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model(fail_with(503, x_should_retry="false"))
    with pytest.raises(openai.InternalServerError):
        _ask(client, model)
    assert len(upstream.seen(model)) == 1
    assert len(server.entries_of(model)[0]["attempts"]) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_trying_again_cannot_mend_is_not_tried_again(
    client: openai.OpenAI, server: RunningServer, upstream: FakeUpstream, status: int
):
    model = upstream.model(fail_with(status))
    with pytest.raises(openai.APIStatusError):
        _ask(client, model)
    assert len(upstream.seen(model)) == 1
    (entry,) = server.entries_of(model)
    assert (entry["cost_nano"], entry["counted"]) == (0, "provider")
    assert len(entry["attempts"]) == 1


def test_both_tries_of_a_call_carry_its_id_and_their_number(
    client: openai.OpenAI, upstream: FakeUpstream
):
    def at_first_not(turn: Turn) -> None:
        if turn.request.headers["x-torana-attempt"] == "1":
            fail_with(503, retry_after="0")(turn)
        else:
            answer_well(turn)

    model = upstream.model(at_first_not)
    answer, request_id = _ask(client, model)
    assert answer == ANSWER
    tries = [seen.headers["x-torana-attempt"] for seen in upstream.seen(model)]
    assert tries == ["1", "2"]
    assert {seen.headers["x-request-id"] for seen in upstream.seen(model)} == {request_id}
