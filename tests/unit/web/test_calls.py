"""What every route of a call does around the service: the body, the headers, the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.inference.fakes import PRINCIPAL
from tests.unit.web.applications import Edge
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import BudgetExceeded, ResponseNotFound
from torana.inference.answers import JsonAnswer, StoredFrames, StreamAnswer
from torana.inference.caller import CallContext
from torana.inference.free_calls import TokenCount

ROUTES: dict[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/completions": OPENAI_COMPLETIONS,
    "/v1/responses": OPENAI_RESPONSES,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
    "/v1/messages": ANTHROPIC,
}
BOTH = ["/v1/chat/completions", "/v1/messages"]


class Asked:
    """Remembers how the service was asked."""

    def __init__(self, answer: JsonAnswer | StreamAnswer | Exception) -> None:
        self.calls: list[tuple[Dialect, bytes, CallContext]] = []
        self._answer = answer

    def __call__(
        self, dialect: Dialect, body: bytes, context: CallContext
    ) -> JsonAnswer | StreamAnswer:
        self.calls.append((dialect, body, context))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    @property
    def context(self) -> CallContext:
        """Of the one call."""
        ((_, _, found),) = self.calls
        return found


@pytest.fixture(scope="module")
def edge() -> Edge:
    """One for all tests: each says itself what the services do."""
    return Edge()


def asked(edge: Edge, answer: Any = None) -> Asked:
    made = Asked(answer or JsonAnswer(b'{"n": 1e400}', {"x-torana-provider": "p"}))
    edge.inference.answer = made
    return made


def post(edge: Edge, path: str, body: Any = b"{}", **headers: Any) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return edge.request("POST", path, data=body, content_type="application/json", headers=named)


@pytest.mark.parametrize(("path", "dialect"), ROUTES.items())
def test_each_route_is_a_dialect_and_the_body_goes_on_as_it_is(edge, path, dialect):
    service = asked(edge)
    body = b'{"model": "m", "big": 1e400, "half": "\\ud83d"}'
    response = post(edge, path, body)
    ((found, given, context),) = service.calls
    assert (found, given) == (dialect, body)
    assert context.principal == PRINCIPAL
    assert context.request_id == response.headers["x-request-id"]
    assert (response.status_code, response.data) == (200, b'{"n": 1e400}')
    assert response.content_type == "application/json"
    assert response.headers["x-torana-provider"] == "p"


@pytest.mark.parametrize("path", BOTH)
def test_a_stream_is_passed_on_piece_by_piece_and_closed(edge, path):
    class Frames:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield b"data: 1\n\n"
            yield b"data: 2\n\n"

        def close(self) -> None:
            self.closed += 1

    frames = Frames()
    asked(edge, StreamAnswer(frames, {"x-torana-dropped": "seed"}))
    response = post(edge, path)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-torana-dropped"] == "seed"
    assert "content-length" not in response.headers
    assert response.data == b"data: 1\n\ndata: 2\n\n"
    response.close()
    assert frames.closed == 1


def test_a_stored_stream_is_sent_as_a_stream(edge):
    asked(edge, StreamAnswer(StoredFrames(b"data: 1\n\n"), {"idempotent-replayed": "true"}))
    response = post(edge, "/v1/messages")
    assert response.data == b"data: 1\n\n"
    assert response.headers["idempotent-replayed"] == "true"
    assert response.headers["content-type"].startswith("text/event-stream")


# --- headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BOTH)
def test_without_headers_a_call_has_its_defaults(edge, path):
    service = asked(edge)
    post(edge, path)
    context = service.context
    assert (context.strict, context.idempotency_key, context.tries_before) == (False, None, 0)
    assert (context.tags, dict(context.forwarded)) == ({}, {})
    assert not context.link.gone()


@pytest.mark.parametrize("path", BOTH)
def test_what_callers_say_in_headers_is_heard_on_every_route(edge, path):
    service = asked(edge)
    post(
        edge,
        path,
        x_torana_strict="True ",
        idempotency_key="k 1",
        x_torana_tags="team=red, env=prod",
        x_stainless_retry_count="2",
    )
    context = service.context
    assert (context.strict, context.idempotency_key, context.tries_before) == (True, "k 1", 2)
    assert context.tags == {"team": "red", "env": "prod"}


@pytest.mark.parametrize("count", ["", "-1", "two", "²", "1000", "1.5"])
def test_a_count_of_tries_that_is_none_is_none(edge, count):
    service = asked(edge)
    post(edge, "/v1/messages", x_stainless_retry_count=count)
    assert service.context.tries_before == 0


FORMS = {"anthropic_version": "2023-06-01", "anthropic_beta": "one,two"}


def test_the_forms_that_a_caller_chooses_are_for_its_own_dialect(edge):
    service = asked(edge)
    post(edge, "/v1/messages", **FORMS, x_other="x")
    assert service.context.forwarded == {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "one,two",
    }
    service = asked(edge)
    post(edge, "/v1/chat/completions", **FORMS)
    assert service.context.forwarded == {}


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"anthropic_version": "x" * 1001}, "anthropic-version"),
        ({"anthropic_beta": "caf\xe9"}, "anthropic-beta"),
        ({"anthropic_beta": "a\tb"}, "anthropic-beta"),
        ({"x_torana_strict": "yes"}, "x-torana-strict"),
        ({"idempotency_key": "x" * 256}, "idempotency-key"),
        ({"x_torana_tags": "no"}, "x-torana-tags"),
    ],
)
def test_a_header_that_can_not_be_read_is_refused_by_name(edge, headers, named):
    service = asked(edge)
    response = post(edge, "/v1/messages", **headers)
    assert response.status_code == 400
    assert response.json["error"]["type"] == "invalid_request_error"
    assert named in response.json["error"]["message"]
    assert service.calls == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/responses"])
@pytest.mark.parametrize("content_type", [None, "text/plain"])
def test_a_body_that_is_not_said_to_be_json_is_refused(edge, path, content_type):
    response = edge.request("POST", path, data=b"{}", content_type=content_type)
    assert response.status_code == 415
    assert response.json["error"]["message"]


@pytest.mark.parametrize(("path", "status"), [("/v1/messages", 402), ("/v1/responses", 429)])
def test_what_the_service_refuses_is_told_in_the_routes_dialect(edge, path, status):
    asked(edge, BudgetExceeded("Spent."))
    response = post(edge, path)
    assert (response.status_code, response.headers["x-should-retry"]) == (status, "false")


# --- what costs nothing ------------------------------------------------------------------------


@pytest.mark.parametrize(("estimated", "header"), [(True, "estimated"), (False, None)])
def test_a_count_says_whether_it_is_an_estimate(edge, estimated, header):
    edge.free_calls.count_tokens = lambda body, _context: TokenCount(body, estimated=estimated)
    response = post(edge, "/v1/messages/count_tokens", b'{"input_tokens": 5}', **FORMS)
    assert (response.status_code, response.data) == (200, b'{"input_tokens": 5}')
    assert response.headers.get("x-torana-token-count") == header


@pytest.mark.parametrize(
    ("method", "name"), [("GET", "get_response"), ("DELETE", "delete_response")]
)
def test_a_stored_response_is_asked_for_by_its_id(edge, method, name):
    seen: list[tuple[str, str]] = []

    def ask(response_id: str, context: CallContext) -> bytes:
        seen.append((response_id, context.principal.project_id))
        return b'{"id": 1}'

    setattr(edge.free_calls, name, ask)
    response = edge.request(method, "/v1/responses/resp_1")
    assert (response.status_code, response.data) == (200, b'{"id": 1}')
    assert seen == [("resp_1", PRINCIPAL.project_id)]


@pytest.mark.parametrize(
    ("method", "name"), [("GET", "get_response"), ("DELETE", "delete_response")]
)
def test_a_stored_response_that_is_not_there_is_openais_404(edge, method, name):
    def ask(_response_id: str, _context: CallContext) -> bytes:
        raise ResponseNotFound("There is none.")

    setattr(edge.free_calls, name, ask)
    response = edge.request(method, "/v1/responses/resp_1", headers={"anthropic-version": "x"})
    assert (response.status_code, response.json["error"]["code"]) == (404, "response_not_found")
